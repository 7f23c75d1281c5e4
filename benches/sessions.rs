//! What an open session costs: many mail servers leave many of them open, and slow clients keep them so.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::chain::Chain;
use super::figures::{target, title};
use super::frames::{CONTINUE, NEGOTIATION, frame, split};
use super::load::Mail;
use super::server::Server;
use super::support::dns::{FakeDns, Manner};
use super::support::zone::Zone;
use super::throughput::WORLD;

const SESSIONS: u32 = 5_000;
/// Sessions before them, so that what the first ones take for all is not counted.
const UNMEASURED: u32 = 200;
const DOMAINS: u32 = 1_000;
/// The most memory for each, in KiB.
const RESIDENT_MAX: f64 = 20.0;

/// Runs the scenario.
pub fn run(quick: bool) -> bool {
    let sessions = if quick { SESSIONS / 10 } else { SESSIONS };
    title(
        "sessions",
        &format!("{sessions} sessions at the milter door, full chain, each open behind its accepted recipient"),
    );
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the hard limit");
    let dns = FakeDns::start_with("127.0.0.1:0", Zone::parse(WORLD), Manner::default());
    let server = Server::milter(&Chain::new().portcullis(dns.address()), "inet:127.0.0.1:0");
    let open = |numbers: std::ops::Range<u32>| -> Vec<TcpStream> {
        numbers.map(|number| begin(&server, number).expect("the milter answers")).collect()
    };
    let early = open(0..UNMEASURED);
    let before = server.memory("VmRSS");
    let late = open(UNMEASURED..UNMEASURED + sessions);
    let each = (server.memory("VmRSS") - before) * 1024.0 / f64::from(sessions);
    drop((early, late));
    println!("  {before:.1} MiB resident before them");
    target(each <= RESIDENT_MAX, &format!("{each:.1} KiB resident for each session, at most {RESIDENT_MAX:.0}"))
}

/// A session up to its first recipient, as Postfix tells it.
fn begin(server: &Server, number: u32) -> io::Result<TcpStream> {
    let mail = Mail { number, domain: number % DOMAINS };
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_nodelay(true)?;
    let terms = [6_u32, 0x1FF, 0x1F_FFFF].map(u32::to_be_bytes).concat();
    say(&mut stream, frame(NEGOTIATION, &terms), NEGOTIATION)?;
    let (host, address) = (mail.host().to_string(), mail.client().to_string());
    let macros = ["v", "Postfix 3.7.11", "{client_name}", &host, "{client_ptr}", &host, "{client_resolve}", "OK"];
    let connect = [host.as_bytes(), b"\x004", &40_000_u16.to_be_bytes(), address.as_bytes(), b"\0"];
    let told = [frame(b'D', &texts(b"C", &macros)), frame(b'C', &connect.concat())].concat();
    say(&mut stream, told, CONTINUE)?;
    say(&mut stream, frame(b'H', &texts(b"", &[&host])), CONTINUE)?;
    say(&mut stream, frame(b'M', &texts(b"", &[&format!("<{}>", mail.sender())])), CONTINUE)?;
    say(&mut stream, frame(b'R', &texts(b"", &[&format!("<{}>", mail.recipient())])), CONTINUE)?;
    Ok(stream)
}

fn texts(before: &[u8], texts: &[&str]) -> Vec<u8> {
    texts.iter().fold(before.to_vec(), |all, text| [&all, text.as_bytes(), b"\0"].concat())
}

/// Sends `frames`, and reads the one frame that answers them.
fn say(stream: &mut TcpStream, frames: Vec<u8>, expected: u8) -> io::Result<()> {
    stream.write_all(&frames)?;
    let (mut arrived, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match split(&arrived) {
            Some((letter, _)) if letter == expected => return Ok(()),
            Some((letter, _)) => return Err(io::Error::other(format!("answered {}", letter.escape_ascii()))),
            None => {}
        }
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        arrived.extend_from_slice(&buffer[..length]);
    }
}
