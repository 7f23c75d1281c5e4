//! The section `[doors.policy]` of the configuration.

use std::num::NonZeroUsize;
use std::time::Duration;

use facts::Endpoint;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::SocketMode;

/// How the policy door serves. A reload does not change it: that takes a restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where Postfix finds us: `inet:127.0.0.1:10023`, `unix:/var/spool/postfix/private/portcullis`. None: closed.
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<Endpoint>,
    /// Who may connect by a Unix-domain socket, in octal: `"0660"`.
    #[schemars(with = "String")]
    pub socket_mode: SocketMode,
    /// To whom a Unix-domain socket belongs, a name or a number. Absent: to the user we run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_owner: Option<String>,
    /// To which group a Unix-domain socket belongs, a name or a number. Absent: to the group we run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_group: Option<String>,
    /// Connections open at once; further ones wait. Each smtpd process of Postfix keeps one, 100 by default.
    pub connections_max: NonZeroUsize,
    /// How long a connection may say nothing. Keep it above Postfix's `smtpd_policy_service_max_idle` of 300 s, or
    /// each connection that we close costs Postfix a second of waiting.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// The longest time to decide. What the DNS has not answered by then is a temporary failure. Keep it below
    /// Postfix's `smtpd_policy_service_timeout` of 100 s.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub deadline: Duration,
    /// How long connections may go on when the program stops.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub stop_grace: Duration,
    /// What a permit is answered with.
    pub permit: Permit,
    /// The answer where none can be found: to a request that cannot be read, one without a client address, one that
    /// hit a fault of ours. It never is a permit.
    #[schemars(with = "String")]
    pub failure_action: FailureAction,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Endpoint::Inet { host: "127.0.0.1".into(), port: 10023 }],
            socket_mode: SocketMode(0o660),
            socket_owner: None,
            socket_group: None,
            connections_max: NonZeroUsize::new(1000).unwrap_or(NonZeroUsize::MIN),
            idle_timeout: Duration::from_secs(600),
            deadline: Duration::from_secs(15),
            stop_grace: Duration::from_secs(10),
            permit: Permit::Dunno,
            failure_action: FailureAction(
                "DEFER_IF_PERMIT 4.3.0 This mail could not be checked, please try again later".into(),
            ),
        }
    }
}

/// What Postfix is told where nothing speaks against the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Permit {
    /// Postfix goes on with its own restrictions.
    #[serde(rename = "DUNNO")]
    Dunno,
    /// Postfix ends the list: restrictions after ours, such as a `reject_unauth_destination`, are skipped.
    #[serde(rename = "OK")]
    Ok,
}

impl Permit {
    /// Postfix's word.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Dunno => "DUNNO",
            Self::Ok => "OK",
        }
    }
}

/// An action of access(5) that lets nothing through by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FailureAction(String);

impl FailureAction {
    /// The action.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for FailureAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let word = text.split_whitespace().next().unwrap_or_default();
        // access(5): OK, RELAY and a number all permit; so would any other word that names a restriction.
        let refuses =
            ["DEFER_IF_PERMIT", "DEFER", "REJECT", "DUNNO"].iter().any(|known| word.eq_ignore_ascii_case(known));
        let is_code = word.len() == 3 && word.starts_with(['4', '5']) && word.bytes().all(|byte| byte.is_ascii_digit());
        if refuses || is_code && text.trim().len() > word.len() {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(format_args!(
                "\"{text}\" cannot be the answer to a failure: write DEFER_IF_PERMIT, DEFER, REJECT or a code, each \
                 with a text, or DUNNO"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_default() {
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }

    #[test]
    fn what_is_shown_can_be_read() {
        let config = Config { socket_owner: Some("postfix".into()), permit: Permit::Ok, ..Config::default() };
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn mistakes_are_refused() {
        for (line, complaint) in [
            ("listen = [\"10023\"]", "is not a socket"),
            ("socket_mode = \"0668\"", "is not a mode"),
            ("socket_mode = \"4755\"", "is not a mode"),
            ("socket_mode = 660", "expected a string"),
            ("connections_max = 0", "nonzero"),
            ("idle_timeout = \"soon\"", "is not a duration"),
            ("permit = \"ok\"", "expected `DUNNO` or `OK`"),
            ("failure_action = \"OK\"", "cannot be the answer"),
            ("failure_action = \"relay\"", "cannot be the answer"),
            ("failure_action = \"12345\"", "cannot be the answer"),
            ("failure_action = \"451\"", "cannot be the answer"),
            ("failure_action = \"\"", "cannot be the answer"),
            ("failure_action = \"permit_mynetworks\"", "cannot be the answer"),
            ("socket_user = \"postfix\"", "unknown field"),
        ] {
            let error = toml::from_str::<Config>(line).unwrap_err().to_string();
            assert!(error.contains(complaint), "{line}: {error}");
        }
        for good in ["DUNNO", "dunno", "451 4.3.0 later", "DEFER later"] {
            toml::from_str::<Config>(&format!("failure_action = \"{good}\"")).unwrap();
        }
    }
}
