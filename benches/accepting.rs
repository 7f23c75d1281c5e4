//! A milter that accepts everything without thinking, told of the same steps as ours: what Postfix can do at most with a
//! milter there.

use std::io;
use std::thread::available_parallelism;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use super::frames::{CONTINUE, NEGOTIATION, frame, split};

/// The argument by which this program becomes the milter; the endpoint follows.
pub const NAME: &str = "accepting";

/// What we ask for as well: to add headers and recipients, to delete recipients, to hold (`SMFIF_*`); then no unknown
/// commands, no DATA, no headers and no body, but refused recipients and headers as they are (`SMFIP_*`).
const TERMS: [u32; 3] = [6, 0x2D, 0x10_0B70];

/// Serves until the process ends, with as many threads as `portcullis serve` has.
pub fn serve(endpoint: &str) -> ! {
    let workers = available_parallelism().map_or(2, |cores| cores.get().max(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let error = runtime.and_then(|runtime| runtime.block_on(listen(endpoint)));
    panic!("the accepting milter: {error:?}");
}

async fn listen(endpoint: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(path) = endpoint.strip_prefix("unix:") {
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        eprintln!("listening on {endpoint} (milter)");
        loop {
            tokio::spawn(answer(listener.accept().await?.0, |_| {}));
        }
    }
    let listener = TcpListener::bind(endpoint.trim_start_matches("inet:")).await?;
    eprintln!("listening on inet:{} (milter)", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // As we do: without it, this milter would take 40 ms longer for a message than the same by a Unix-domain socket.
        tokio::spawn(answer(stream, |stream| drop(SockRef::from(stream).set_tcp_quickack(true))));
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, acknowledge: impl Fn(&S)) -> io::Result<()> {
    let mut arrived = Vec::with_capacity(4096);
    loop {
        let mut is_replied = false;
        while let Some((letter, length)) = split(&arrived) {
            // Macros, abort, and the end of a session in its connection are not answered.
            is_replied = !matches!(letter, b'D' | b'A' | b'K');
            match letter {
                NEGOTIATION => stream.write_all(&frame(NEGOTIATION, &TERMS.map(u32::to_be_bytes).concat())).await?,
                b'Q' => return Ok(()),
                _ if is_replied => stream.write_all(&frame(CONTINUE, &[])).await?,
                _ => {}
            }
            arrived.drain(..length);
        }
        if !is_replied {
            acknowledge(&stream);
        }
        if stream.read_buf(&mut arrived).await? == 0 {
            return Ok(());
        }
    }
}
