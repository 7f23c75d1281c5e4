//! The server's end of the control socket.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use facts::Endpoint;
use net::{Limits, Listen, Stream, Workers};
use rustix::process::geteuid;
use serde_json::{Value, json};
use store::{Attempt, Store};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Config, PAGE_MAX, REQUEST_MAX, Reply, Request};

/// The commands of an administrator are few; further ones wait in the kernel's queue.
const LIMITS: Limits = Limits { connections_max: 16, stop_grace: Duration::from_secs(2) };
/// How long a client may take to say what it wants, and to take the reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// The control socket, open.
pub struct Server {
    stop: CancellationToken,
    served: JoinHandle<usize>,
}

impl Server {
    /// Opens the socket. Whoever may connect by its mode and its group is answered until [`Self::stop`].
    ///
    /// # Errors
    /// Why nothing listens there.
    pub async fn open(config: &Config, store: Store, workers: Arc<Workers>) -> Result<Self, net::Error> {
        let endpoint = Endpoint::Unix(config.path());
        let (mode, group) = (Some(config.socket_mode.0), config.socket_group.clone());
        let listener = net::bind(&Listen { endpoint: endpoint.clone(), mode, owner: None, group }).await?;
        tracing::info!("the control socket is {endpoint}");
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let served = tokio::spawn(async move {
            let counters = net::Counters::default();
            let handle = {
                let stopped = stopped.clone();
                move |stream, _| exchange(stream, store.clone(), stopped.clone())
            };
            net::serve(vec![listener], LIMITS, &counters, stopped, &workers, handle).await
        });
        Ok(Self { stop, served })
    }

    /// Closes it and removes its file. What is being answered has a moment to end.
    pub async fn stop(self) {
        self.stop.cancel();
        // A fault of the task's is told where tokio reports it; there is nothing left to close.
        let _ = self.served.await;
    }
}

/// One request and its reply. Who takes too long to ask, or to take the reply, is let go.
async fn exchange(mut stream: Stream, store: Store, stopped: CancellationToken) {
    let line = tokio::select! {
        line = timeout(PATIENCE, read_line(&mut stream)) => line,
        () = stopped.cancelled() => return,
    };
    let (Ok(Some(line)), Some(user)) = (line, stream.user()) else { return };
    let reply = match answer(&line, user, &store).await {
        Ok(answer) => Reply::Ok(answer),
        Err(error) => Reply::Error(error.to_string()),
    };
    let mut reply = serde_json::to_vec(&reply).expect("a reply is plain values");
    reply.push(b'\n');
    // Who is gone does not need it any more.
    let _ = timeout(PATIENCE, stream.write_all(&reply)).await;
}

/// The line, one octet more than it may have at most; nothing where there is none.
async fn read_line(stream: &mut Stream) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let read = BufReader::new(stream.take(REQUEST_MAX + 1)).read_until(b'\n', &mut line).await;
    (read.is_ok() && !line.is_empty()).then_some(line)
}

/// What is answered to `line` of a user with this number.
async fn answer(line: &[u8], user: u32, store: &Store) -> anyhow::Result<Value> {
    anyhow::ensure!(line.len() as u64 <= REQUEST_MAX, "the request is longer than {REQUEST_MAX} octets");
    let request: Request =
        serde_json::from_slice(line).map_err(|error| anyhow::anyhow!("the request cannot be understood: {error}"))?;
    let may_change = user == 0 || user == geteuid().as_raw();
    anyhow::ensure!(
        may_change || !request.is_change(),
        "only root and the user whom the server runs as may change what it remembers"
    );
    Ok(match request {
        Request::Triplets { filter, after } => json!(store.triplets(&filter, after, PAGE_MAX).await?),
        Request::Clients { filter, after } => json!(store.clients(&filter, after, PAGE_MAX).await?),
        Request::Peek { address, client_name, sender_address, client, network, sender, recipient, now, terms } => {
            let attempt = Attempt {
                address,
                client_name: &client_name,
                sender_address: &sender_address,
                client: &client,
                network: &network,
                sender: &sender,
                recipient: &recipient,
                now,
                terms: &terms,
            };
            json!(store.peek(&attempt).await?)
        }
        Request::Forget { name } => {
            let forgotten = store.forget(&name).await?;
            tracing::info!("greylisting forgot {forgotten} entries of {name:?}, as user {user} asked");
            json!(forgotten)
        }
        Request::Allow { name, remove } => {
            let changed =
                if remove { store.disallow(&name).await? } else { store.allow(&name, SystemTime::now()).await? };
            if changed {
                let done = if remove { "no longer allows" } else { "allows" };
                tracing::info!("greylisting {done} {:?}, as user {user} asked", name.as_str());
            }
            json!(changed)
        }
        Request::Allowed => json!(store.allowed()),
        Request::Stats => json!(store.stats().await?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_are_for_root_and_ourselves() {
        let store = Store::in_memory();
        let own = geteuid().as_raw();
        let other = own + 1;
        let check = async |request: &str, user: u32, expected: &str| {
            let answer = answer(request.as_bytes(), user, &store).await;
            let told = answer.map_or_else(|error| error.to_string(), |answer| answer.to_string());
            assert!(told.contains(expected), "{request} of {user}: {told}");
        };
        let forget = r#"{"request":"forget","name":"a@b.example"}"#;
        check(forget, 0, "0").await;
        check(forget, own, "0").await;
        check(forget, other, "only root").await;
        check(r#"{"request":"stats"}"#, other, "triplets_waiting").await;
        check(r#"{"request":"triplets","filter":""}"#, other, "entries").await;
        for nonsense in ["", "{}", "[]", "\u{0}", r#"{"request":"reboot"}"#, r#"{"request":"forget"}"#] {
            check(nonsense, 0, "cannot be understood").await;
        }
        check(&" ".repeat(REQUEST_MAX as usize + 1), 0, "is longer than 8192 octets").await;
    }
}
