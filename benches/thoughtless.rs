//! A policy server that answers without thinking: what a machine and a runtime can do at most.

use std::io;
use std::thread::available_parallelism;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The argument by which this program becomes the server.
pub const NAME: &str = "thoughtless";

/// Serves until the process ends, with as many threads as `portcullis serve` has.
pub fn serve() -> ! {
    let workers = available_parallelism().map_or(2, |cores| cores.get().max(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let error = runtime.and_then(|runtime| runtime.block_on(listen()));
    panic!("the thoughtless server: {error:?}");
}

async fn listen() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on inet:{} (policy)", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut request = Vec::with_capacity(4096);
    loop {
        request.clear();
        while !request.ends_with(b"\n\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        stream.write_all(b"action=DUNNO\n\n").await?;
    }
}
