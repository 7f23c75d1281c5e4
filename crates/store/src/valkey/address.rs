//! Where Valkey is, as a URL says it.
//!
//! The schemes are those of the field's clients (`redis://`, `rediss://`, `valkey://`, `valkeys://`); `+sentinel` and
//! `+cluster` behind one of them name several hosts, separated by commas.

use std::fmt;

/// Where Valkey listens unless the URL says otherwise.
const PORT: u16 = 6_379;
/// Where Sentinel does.
const SENTINEL_PORT: u16 = 26_379;
/// Databases of one server; its default is 16.
const DATABASES_MAX: u32 = 65_536;
/// Hosts that one URL names.
const HOSTS_MAX: usize = 64;

/// What a URL says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub tls: bool,
    pub credentials: Option<Credentials>,
    /// At least one.
    pub hosts: Vec<Host>,
    pub arrangement: Arrangement,
    pub database: u32,
}

/// How the hosts belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrangement {
    /// There is one.
    Single,
    /// They are sentinels, and know the master of this name.
    Sentinel(String),
    /// They are some nodes of a cluster.
    Cluster,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name or an address, that of IPv6 without brackets.
    pub name: String,
    pub port: u16,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// None is the server's user `default`.
    pub user: Option<String>,
    pub password: String,
}

impl Address {
    /// What `url` says.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("is no URL: write \"embedded:\" or \"valkey://HOST\"")?;
        let (tls, arrangement) = read_scheme(scheme)?;
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(read_credentials(credentials)?), hosts),
            None => (None, authority),
        };
        let port = if matches!(arrangement, Arrangement::Sentinel(_)) { SENTINEL_PORT } else { PORT };
        let hosts = hosts.split(',').map(|host| read_host(host, port)).collect::<Result<Vec<_>, _>>()?;
        if hosts.len() > HOSTS_MAX {
            return Err("names more than 64 hosts");
        }
        let (arrangement, database) = read_path(arrangement, path)?;
        if hosts.len() > 1 && arrangement == Arrangement::Single {
            return Err("names several hosts: write valkey+sentinel:// or valkey+cluster://");
        }
        Ok(Self { tls, credentials, hosts, arrangement, database })
    }
}

/// Whether it is by TLS, and the arrangement; that of Sentinel without a name.
fn read_scheme(scheme: &str) -> Result<(bool, Arrangement), &'static str> {
    let (scheme, arrangement) = match scheme.split_once('+') {
        None => (scheme, Arrangement::Single),
        Some((scheme, "sentinel")) => (scheme, Arrangement::Sentinel(String::new())),
        Some((scheme, "cluster")) => (scheme, Arrangement::Cluster),
        Some(_) => return Err("has an unknown scheme: after the + comes sentinel or cluster"),
    };
    match scheme {
        "valkey" | "redis" => Ok((false, arrangement)),
        "valkeys" | "rediss" => Ok((true, arrangement)),
        _ => Err("has an unknown scheme: known are embedded:, valkey://, valkeys://, redis:// and rediss://"),
    }
}

fn read_credentials(text: &str) -> Result<Credentials, &'static str> {
    let (user, password) = text.split_once(':').ok_or("has a user without a password: write USER:PASSWORD@")?;
    let user = decode(user)?;
    let password = decode(password)?;
    if password.is_empty() {
        return Err("has an empty password");
    }
    Ok(Credentials { user: (!user.is_empty()).then_some(user), password })
}

fn read_host(text: &str, port: u16) -> Result<Host, &'static str> {
    let wrong_port = "has a port that is no number from 1 to 65535";
    let (name, port_text) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, after) = rest.split_once(']').ok_or("has an address with [ and without ]")?;
            name.parse::<std::net::Ipv6Addr>().map_err(|_| "has no address of IPv6 within its brackets")?;
            (name, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(wrong_port)?) })
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if name.is_empty() || !name.chars().all(is_of_name) {
        return Err("names no host, or one with signs that no name has");
    }
    let port = port_text.map_or(Ok(port), |text| text.parse().ok().filter(|port| *port > 0).ok_or(wrong_port))?;
    Ok(Host { name: name.to_owned(), port })
}

/// What stands after the hosts: with Sentinel a name, and with all but a cluster the number of a database.
fn read_path(arrangement: Arrangement, path: Option<&str>) -> Result<(Arrangement, u32), &'static str> {
    let path = path.unwrap_or_default();
    let (arrangement, database) = match arrangement {
        Arrangement::Sentinel(_) => {
            let (name, database) = path.split_once('/').unwrap_or((path, ""));
            if name.is_empty() {
                return Err(
                    "does not name the master that the sentinels know: write it after the hosts, as in /mymaster",
                );
            }
            (Arrangement::Sentinel(decode(name)?), database)
        }
        Arrangement::Cluster if !path.is_empty() => return Err("names a database: a cluster has only one"),
        other => (other, path),
    };
    if database.is_empty() {
        return Ok((arrangement, 0));
    }
    let number = database.parse().ok().filter(|number| *number < DATABASES_MAX);
    Ok((arrangement, number.ok_or("has something else than the number of a database at its end")?))
}

/// RFC 3986 §2.1: `%40` is `@`.
fn decode(text: &str) -> Result<String, &'static str> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet != b'%' {
            decoded.push(*octet);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or("has a % without two digits after it")?;
        let digits = str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let octet = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(octet.ok_or("has a % without two digits after it")?);
        rest = after;
    }
    String::from_utf8(decoded).map_err(|_| "has a % that makes no UTF-8")
}

/// Without credentials: for the log.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "valkeys" } else { "valkey" };
        let arrangement = match &self.arrangement {
            Arrangement::Single => "",
            Arrangement::Sentinel(_) => "+sentinel",
            Arrangement::Cluster => "+cluster",
        };
        write!(f, "{scheme}{arrangement}://")?;
        for (index, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { "" } else { "," })?;
        }
        match &self.arrangement {
            Arrangement::Single => write!(f, "/{}", self.database),
            Arrangement::Sentinel(name) => write!(f, "/{name}/{}", self.database),
            Arrangement::Cluster => Ok(()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// As [`fmt::Display`]: what is printed by mistake has no password either.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_can_be_used() {
        for (url, shown, user, password) in [
            ("valkey://mx", "valkey://mx:6379/0", None, None),
            ("redis://192.0.2.1:7000/3", "valkey://192.0.2.1:7000/3", None, None),
            ("rediss://[2001:db8::1]/", "valkeys://[2001:db8::1]:6379/0", None, None),
            ("valkeys://[2001:db8::1]:1/0", "valkeys://[2001:db8::1]:1/0", None, None),
            ("valkey://:secret@mx", "valkey://mx:6379/0", None, Some("secret")),
            ("valkey://u%40x:a%2Fb%3a@mx", "valkey://mx:6379/0", Some("u@x"), Some("a/b:")),
            ("valkey://u:p@ss@mx", "valkey://mx:6379/0", Some("u"), Some("p@ss")),
            ("valkey+sentinel://a,b:1/main", "valkey+sentinel://a:26379,b:1/main/0", None, None),
            ("rediss+sentinel://u:p@a/main/2", "valkeys+sentinel://a:26379/main/2", Some("u"), Some("p")),
            ("valkey+cluster://a:1,b", "valkey+cluster://a:1,b:6379", None, None),
            ("valkeys+cluster://:p@a/", "valkeys+cluster://a:6379", None, Some("p")),
        ] {
            let address = Address::parse(url).unwrap_or_else(|problem| panic!("{url}: {problem}"));
            assert_eq!(address.to_string(), shown, "{url}");
            let own = address.credentials.clone();
            assert_eq!(own.as_ref().and_then(|own| own.user.as_deref()), user, "{url}");
            assert_eq!(own.as_ref().map(|own| &*own.password), password, "{url}");
            assert!(!format!("{address:?}").contains("secret"));
        }
    }

    #[test]
    fn hosts_are_bounded() {
        let url = |count: usize| format!("valkey+cluster://{}", vec!["a"; count].join(","));
        assert!(Address::parse(&url(HOSTS_MAX)).is_ok());
        assert_eq!(Address::parse(&url(HOSTS_MAX + 1)), Err("names more than 64 hosts"));
    }

    #[test]
    fn urls_that_cannot() {
        for (url, problem) in [
            ("", "is no URL"),
            ("mx:6379", "is no URL"),
            ("http://mx", "unknown scheme"),
            ("valkey+ring://mx", "after the + comes"),
            ("valkey://", "names no host"),
            ("valkey://m x", "names no host"),
            ("valkey://user@mx", "without a password"),
            ("valkey://user:@mx", "empty password"),
            ("valkey://u:%4@mx", "without two digits"),
            ("valkey://u:%+1@mx", "without two digits"),
            ("valkey://u:%ff@mx", "no UTF-8"),
            ("valkey://mx:0", "has a port"),
            ("valkey://mx:65536", "has a port"),
            ("valkey://[::1]6379", "has a port"),
            ("valkey://[::1", "without ]"),
            ("valkey://[mx]", "no address of IPv6"),
            ("valkey://mx/one", "number of a database"),
            ("valkey://mx/65536", "number of a database"),
            ("valkey://mx/0?x=1", "number of a database"),
            ("valkey://a,b", "several hosts"),
            ("valkey+sentinel://a,b", "does not name the master"),
            ("valkey+sentinel://a/main/x", "number of a database"),
            ("valkey+cluster://a/1", "a cluster has only one"),
            ("valkey+cluster://a,,b", "names no host"),
        ] {
            let found = Address::parse(url).expect_err(url);
            assert!(found.contains(problem), "{url}: {found}");
        }
    }
}
