//! The section `[doors.milter]` of the configuration.

use std::num::NonZeroUsize;
use std::time::Duration;

use facts::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SocketMode;

/// How the milter door serves. A reload does not change it: that takes a restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the mail server finds us: `inet:127.0.0.1:8893`, `unix:/var/spool/postfix/private/portcullis-milter`. None:
    /// closed.
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
    /// Connections open at once; further ones wait. Each SMTP session has one, and Postfix has 100 of them by default.
    pub connections_max: NonZeroUsize,
    /// How long a connection may say nothing. Postfix tells nothing while a message arrives, and a client with a slow
    /// line may take hours for a large one.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// The longest time to decide. What the DNS has not answered by then is a temporary failure. Keep it below Postfix's
    /// `milter_command_timeout` of 30 s; Sendmail waits for 10 s unless `T=R:30s` stands in its `INPUT_MAIL_FILTER`.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub deadline: Duration,
    /// How long sessions may go on when the program stops.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub stop_grace: Duration,
    /// Whether a message that is taken gets a header `X-Portcullis` with what was decided on it, and loses those of that
    /// name that it came with.
    pub verdict_header: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Endpoint::Inet { host: "127.0.0.1".into(), port: 8893 }],
            socket_mode: SocketMode(0o660),
            socket_owner: None,
            socket_group: None,
            connections_max: NonZeroUsize::new(1000).unwrap_or(NonZeroUsize::MIN),
            idle_timeout: Duration::from_secs(2 * 60 * 60),
            deadline: Duration::from_secs(15),
            stop_grace: Duration::from_secs(10),
            verdict_header: false,
        }
    }
}
