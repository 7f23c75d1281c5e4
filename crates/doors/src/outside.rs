//! What the judge reaches through the doors: policy services, and time that passes.

use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use judge::{Outside, PolicyAnswer, PolicyQuery};
use net::Client;
use store::Store;
use wire::policy::{ProtocolState, Question, push_request, reply};

/// The means to ask policy services on connections that all decisions share, to wait, and to remember.
pub(crate) fn outside(store: Store) -> Outside {
    let client = Client::default();
    Outside::new(
        move |query| {
            let client = client.clone();
            async move { ask(&client, query).await }.boxed()
        },
        |duration| tokio::time::sleep(duration).boxed(),
        store,
    )
}

async fn ask(client: &Client, PolicyQuery { service, facts, stage }: PolicyQuery) -> PolicyAnswer {
    let mut request = Vec::with_capacity(1024);
    let question = Question { state: ProtocolState::at(stage, &facts), facts: Arc::unwrap_or_clone(facts) };
    push_request(&question, &service.policy_context, &mut request);
    let read = |arrived: &[u8]| reply(arrived).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
    client.ask(&service.endpoint, &service.terms, &request, read).await.map_err(|error| {
        tracing::warn!("policy service {}: {error}", service.endpoint);
        error.to_string()
    })
}
