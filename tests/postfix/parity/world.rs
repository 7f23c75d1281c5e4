//! The world of the drawn sessions: clients, names and addresses by what the DNS says of them.

use crate::support::random::Random;

/// The networks that may do what strangers may not, with an exception.
pub const MYNETWORKS: [&str; 4] = ["127.0.0.0/8", "!10.9.66.0/24", "10.9.0.0/16", "[2001:db8:9::]/48"];
/// Networks with bits after their prefix: of whom comes to them nobody can say whether he is inside.
pub const NETWORKS_UNCLEAR: [&str; 2] = ["10.64.0.1/10", "[2001:db8:64::1]/48"];
/// The domains where mail ends (Postfix: `mydestination`). The first is the host's own name.
pub const DOMAINS: [&str; 2] = ["mx.test", "ours.test"];
/// The domains that are passed on, with their subdomains.
pub const RELAY_DOMAINS: [&str; 1] = ["relayed.test"];

/// Domains whose senders belong to the login of the tests, and to somebody else.
pub const OWNED: &str = "good.test";
pub const OWNED_BY_ANOTHER: &str = "mx-only.test";

/// Keys of tables of users and logins, in Postfix's names and ours.
pub fn maps() -> [(&'static str, String); 4] {
    let user = crate::support::sasl::USER;
    [
        ("local_recipient_maps", "inline:{user=x, {first.last@ours.test=x}}".into()),
        ("relay_recipient_maps", "inline:{{user@relayed.test=x}, {@sub.relayed.test=x}}".into()),
        ("virtual_alias_maps", "inline:{{user+tag@ours.test=user@ours.test}}".into()),
        (
            "smtpd_sender_login_maps",
            format!("inline:{{{{@{OWNED}={user}}}, {{@{OWNED_BY_ANOTHER}=another, third}}, {{user=another, {user}}}}}"),
        ),
    ]
}

/// A DNS list that lists nothing.
pub const LIST_EMPTY: &str = "empty.list.test";
/// DNS lists that list everything.
pub const LISTS_FULL: [&str; 3] = ["full.list.test", "plain.list.test", "Mixed.List.Test"];
/// A DNS list that cannot answer.
pub const LIST_DOWN: &str = "down.list.test";

/// How many draws of something silent stand against one that is drawn: each costs a second of waiting, or several.
const SILENCE_RARITY: usize = 40;

/// Things of one kind, by what becomes of a question about them.
pub struct Pool {
    /// The DNS knows them, and all is well.
    pub good: &'static [&'static str],
    /// The DNS says for sure that something is missing.
    pub missing: &'static [&'static str],
    /// The DNS cannot say.
    pub unclear: &'static [&'static str],
    /// The DNS does not answer at all.
    pub silent: &'static [&'static str],
    /// Whatever else may come along.
    pub odd: &'static [&'static str],
}

impl Pool {
    /// Any of them.
    pub fn any(&self, random: &mut Random) -> &'static str {
        let pools = [self.good, self.good, self.missing, self.unclear, self.odd, self.odd];
        let pool = random.pick(&pools);
        if pool.is_empty() { random.pick(self.good) } else { random.pick(pool) }
    }

    /// One about which the DNS cannot say anything now.
    pub fn unclear(&self, random: &mut Random) -> &'static str {
        let silent = random.one_in(SILENCE_RARITY) && !self.silent.is_empty();
        random.pick(if silent { self.silent } else { self.unclear })
    }
}

/// Clients by their verified name.
pub const CLIENTS: Pool = Pool {
    good: &[
        "10.1.0.1",
        "10.1.0.2",
        "45.1.0.3",
        "203.0.113.4",
        "192.0.2.5",
        "198.51.100.6",
        "2001:db8:1::1",
        "2001:db8:1:2:3:4:5:6",
    ],
    // No PTR; a name without address, with another one, with one of the other family only.
    missing: &["10.2.0.1", "10.2.0.2", "2001:db8:2::1", "10.3.0.1", "10.3.0.2", "10.3.0.3", "2001:db8:3::1"],
    unclear: &["10.5.0.1", "10.5.0.2", "2001:db8:5::1", "10.6.0.1", "2001:db8:6::1"],
    silent: &["10.7.0.1", "10.7.0.2"],
    // Names that no host may bear, and our own networks.
    odd: &[
        "10.4.0.1",
        "10.4.0.2",
        "10.4.0.3",
        "10.4.0.4",
        "10.4.0.5",
        "10.9.0.1",
        "10.9.7.7",
        "10.9.66.1",
        "2001:db8:9::1",
    ],
};

/// Clients by the name that their PTR record gives, whether it leads back or not.
pub const REVERSE_CLIENTS: Pool = Pool {
    good: &["10.1.0.1", "45.1.0.3", "2001:db8:1::1", "10.3.0.1", "10.3.0.2", "10.6.0.1"],
    missing: &["10.2.0.1", "10.2.0.2", "2001:db8:2::1"],
    unclear: &["10.5.0.1", "10.5.0.2", "2001:db8:5::1"],
    silent: &["10.7.0.1"],
    odd: &[],
};

/// Clients of our own networks.
pub const CLIENTS_OWN: [&str; 3] = ["10.9.0.1", "10.9.7.7", "2001:db8:9::1"];

/// Domains that ETRN may be said of: Postfix asks its lists of any.
pub const ETRN_DOMAINS: [&str; 5] =
    ["relayed.test", "sub.relayed.test", "elsewhere.test", "Mixed.Elsewhere.test", "[10.1.0.1]"];

/// HELO names.
pub const HELO_NAMES: Pool = Pool {
    good: &[
        "mail.good.test",
        "a-only.test",
        "aaaa-only.test",
        "mx-only.test",
        "MAIL.Good.Test",
        "nullmx.test",
        "cname.test",
    ],
    missing: &["nowhere.test", "nodata.test", "cname-nowhere.test", "cname-loop.test"],
    unclear: &["down.test", "refused.test", "a-down.test"],
    silent: &["silent.test"],
    odd: &[
        "under_score.good.test",
        "mail.good.test.",
        "localhost",
        "single",
        "12345",
        "10.1.0.1",
        "256.1.2.3",
        "1.2.3",
        "0.0.0.0",
        "a..b.test",
        ".",
        "..",
        ".test",
        "nowhere.test..",
        "-leading.test",
        "trailing-.test",
        "sub.-leading.test",
        "xn--4ca.test",
        "xn--123456.test",
        "\u{e4}.test",
        "2001:db8::1",
        "::1",
        "mail!good.test",
        "mail,good.test",
        "star*.test",
        "*.good.test",
        "7.8.9.10.test",
        LABEL_OF_64,
        NAME_OF_260,
        "[10.1.0.1]",
        "[2001:db8::1]",
        "[IPv6:2001:db8::1]",
        "[ipv6:::1]",
        "[IPv6:10.1.0.1]",
        "[IPv6:1::2::3]",
        "[010.001.0.1]",
        "[0.1.2.3]",
        "[256.1.1.1]",
        "[1.2.3]",
        "[1.2.3.4.5]",
        "[]",
        "[",
        "[10.1.0.1",
        "10.1.0.1]",
        "[mail.good.test]",
        "[x:10.1.0.1]",
    ],
};

/// HELO names that are no names, with and without brackets.
pub const HELO_INVALID: [&str; 7] =
    ["a..b.test", "-leading.test", "mail!good.test", "*.good.test", "[1.2.3]", "[mail.good.test]", LABEL_OF_64];
/// HELO names without a domain.
pub const HELO_NOT_FQDN: [&str; 3] = ["localhost", "single", "[256.1.1.1]"];

const LABEL_OF_64: &str = "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd.test";
const NAME_OF_260: &str = "abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.\
abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.\
abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdefghi.abcdef.test";

/// Domains of addresses.
pub const MAIL_DOMAINS: Pool = Pool {
    good: &["good.test", "a-only.test", "aaaa-only.test", "mx-only.test", "GOOD.Test", "cname.test", "sub.good.test"],
    missing: &["nowhere.test", "nodata.test", "cname-nowhere.test", "cname-loop.test", "nullmx.test"],
    unclear: &["down.test", "refused.test", "mx-down.test", "a-down.test", "aaaa-down.test"],
    silent: &["silent.test"],
    odd: &[
        "nullmx-a.test",
        "nullmx-mx.test",
        "mx-malformed.test",
        "mx-number.test",
        "mx-underscore.test",
        "mx-long.test",
        "under_score.test",
        "good.test.",
        "single",
        "a..b.test",
        "-leading.test",
        "12345",
        "1.2.3.4",
        "xn--4ca.test",
        "xn--123456.test",
        "[10.1.0.1]",
        "[IPv6:2001:db8::1]",
        "[broken",
        "ours.test",
        "mx.test",
        "sub.ours.test",
        "relayed.test",
        "sub.relayed.test",
        LABEL_OF_64,
        NAME_OF_260,
    ],
};

/// Domains of one label, that Postfix takes. What is no name at all it calls a syntax error.
pub const DOMAINS_NOT_FQDN: [&str; 4] = ["single", "SINGLE", "under_score", "xn--4ca"];

/// What stands before the last `@`: as a client writes it, and what it means.
pub const LOCAL_PARTS: [(&str, &str); 10] = [
    ("user", "user"),
    ("user", "user"),
    ("user+tag", "user+tag"),
    ("First.Last", "First.Last"),
    ("USER", "USER"),
    ("\"two words\"", "two words"),
    ("\"quo\\\"ted\"", "quo\"ted"),
    ("\"a@b\"", "a@b"),
    ("\u{fc}ser", "\u{fc}ser"),
    ("=?$&{}", "=?$&{}"),
];

/// Addresses with a route in them, written by the domain where it ends.
pub const ROUTED: [(&str, &str); 8] = [
    ("@hop.test:user@", "user@"),
    ("@hop.test,@next.test:user@", "user@"),
    ("user%good.test@", "user%good.test@"),
    ("user%ours.test@", "user%ours.test@"),
    ("good.test!user@", "good.test!user@"),
    ("a!b!user@", "a!b!user@"),
    ("user@good.test@", "user@good.test@"),
    ("user%a%b@", "user%a%b@"),
];

/// Addresses without a domain.
pub const BARE: [&str; 6] = ["postmaster", "PostMaster", "user", "user%good.test", "good.test!user", "user@"];
