//! The argument of `check_policy_service`: a service, or a service and how to ask it in braces.

use std::str::FromStr;
use std::sync::Arc;

use facts::{Terms, closest, duration};

use super::Parser;
use super::words::Word;
use crate::outside::PolicyService;
use crate::tables::braces;

/// Where the relative names of Unix-domain sockets start that Postfix uses (its `queue_directory`).
const QUEUE_DIRECTORY: &str = "/var/spool/postfix/";
/// What may stand in braces, as `name=value`.
const OPTIONS: &[&str] = &[
    "timeout",
    "max_idle",
    "max_ttl",
    "retry_delay",
    "request_limit",
    "try_limit",
    "default_action",
    "policy_context",
];

impl Parser<'_> {
    /// `inet:host:port`, `unix:path`, or `{ inet:host:port, timeout=10s, { default_action = 451 4.3.5 text } }`.
    pub(super) fn policy_service(&mut self, argument: &Word) -> Option<Arc<PolicyService>> {
        let parsed = match braces::inside(&argument.text) {
            None => self.service(&argument.text),
            Some(inside) => {
                let mut parts = braces::words(inside);
                let service = self.service(parts.next().unwrap_or_default());
                service.and_then(|service| parts.try_fold(service, with_option))
            }
        };
        parsed.map(Arc::new).map_err(|message| self.mistake(argument, message)).ok()
    }

    /// A service that is asked as the section `[postfix]` says.
    fn service(&self, text: &str) -> Result<PolicyService, String> {
        let endpoint = match text.strip_prefix("unix:").filter(|path| !path.is_empty() && !path.starts_with('/')) {
            Some(path) => format!("unix:{QUEUE_DIRECTORY}{path}").parse(),
            None => text.parse(),
        };
        let postfix = &self.config.postfix;
        Ok(PolicyService {
            endpoint: endpoint?,
            terms: Terms {
                timeout: postfix.smtpd_policy_service_timeout,
                max_idle: postfix.smtpd_policy_service_max_idle,
                max_ttl: postfix.smtpd_policy_service_max_ttl,
                try_limit: postfix.smtpd_policy_service_try_limit,
                retry_delay: postfix.smtpd_policy_service_retry_delay,
                request_limit: postfix.smtpd_policy_service_request_limit,
            },
            default_action: postfix.smtpd_policy_service_default_action.clone(),
            policy_context: postfix.smtpd_policy_service_policy_context.clone(),
        })
    }
}

/// `service` with one more option: `name=value`, or `{ name = value with spaces }`.
fn with_option(mut service: PolicyService, option: &str) -> Result<PolicyService, String> {
    let option = braces::inside(option).unwrap_or(option);
    let (name, value) = option
        .split_once('=')
        .ok_or_else(|| format!("\"{option}\" is no option of a policy service: write name=value"))?;
    let (name, value) = (name.trim(), value.trim());
    match name {
        "timeout" => service.terms.timeout = duration::parse(value)?,
        "max_idle" => service.terms.max_idle = duration::parse(value)?,
        "max_ttl" => service.terms.max_ttl = duration::parse(value)?,
        "retry_delay" => service.terms.retry_delay = duration::parse(value)?,
        "request_limit" => service.terms.request_limit = number(name, value)?,
        "try_limit" => service.terms.try_limit = number(name, value)?,
        "default_action" => service.default_action = value.parse()?,
        "policy_context" => value.clone_into(&mut service.policy_context),
        _ => {
            let hint = closest(name, OPTIONS.iter().copied()).map(|meant| format!(": did you mean \"{meant}\"?"));
            return Err(format!("unknown option \"{name}\" of a policy service{}", hint.unwrap_or_default()));
        }
    }
    Ok(service)
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("\"{value}\" is not a number for {name}"))
}
