//! `check_policy_service`: what an administrator's own policy service says (Postfix: SMTPD_POLICY_README).

use std::sync::Arc;

use facts::{Evidence, Reason};

use super::access::carried_out;
use super::bare::Topic;
use crate::case::Case;
use crate::outside::{PolicyQuery, PolicyService};
use crate::reply::server_error;
use crate::ruling::{About, Ruling, UnknownClass};

/// Asks the service and does what it says, as if a row of an access table said so. A service that does not answer in
/// time counts as if it had said its default action.
pub(super) async fn check_policy_service(case: &Case, service: &Arc<PolicyService>, about: &About) -> Ruling {
    let query = || PolicyQuery { service: Arc::clone(service), facts: Arc::clone(&case.facts), stage: case.stage };
    let Some(asking) = case.outside.ask(query) else {
        return Ruling::dunno().noting(format!("{} was not asked: it may act on what it is told", service.endpoint));
    };
    let answer =
        case.asker.in_time(asking).await.unwrap_or_else(|| Err("no answer in the time of the decision".into()));
    let topic = Topic::of(case, about).await;
    match answer {
        Ok(action) => {
            let ruling = carried_out(case, &action, topic.named(), Reason::PolicyService).unwrap_or_else(|| {
                Ruling::unknown(UnknownClass::Table, server_error()).noting("not an action that a service may name")
            });
            ruling.with(Evidence::Policy { service: service.endpoint.to_string().into(), action: action.into() })
        }
        Err(why) => {
            let action = service.default_action.as_str();
            let ruling = carried_out(case, action, topic.named(), Reason::PolicyFailure);
            ruling.unwrap_or_else(Ruling::dunno).noting(format!("{}: {why}: {action}", service.endpoint))
        }
    }
    .on(topic.answers)
}
