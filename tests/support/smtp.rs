//! An SMTP client for tests: it speaks from any address of its network and keeps every reply.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::tls::{self, Certificate};

/// No reply of a server takes longer: Postfix waits for its resolver and for our deadline of 15 s at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// The lines of one reply that are read before the server counts as broken.
const LINES_MAX: usize = 100;

/// A server's reply, all its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The SMTP code.
    pub code: u16,
    /// What stands behind the code, line by line.
    pub lines: Vec<String>,
}

/// A session with an SMTP server.
pub struct Session {
    stream: BufReader<Box<dyn Stream>>,
    connection: TcpStream,
}

/// Plain or encrypted.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Reply {
    /// Whether the server refuses, for now or for good.
    pub fn is_refusal(&self) -> bool {
        self.code >= 400
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" / "))
    }
}

impl Session {
    /// Connects from `client` to `server` and reads the greeting, which may be a refusal.
    pub fn connect(client: IpAddr, server: SocketAddr) -> io::Result<(Self, Reply)> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(client, 0).into())?;
        socket.connect_timeout(&server.into(), PATIENCE)?;
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let connection = stream.try_clone()?;
        let mut session = Self { stream: BufReader::new(Box::new(stream)), connection };
        let greeting = session.reply()?;
        Ok((session, greeting))
    }

    /// Says one line and reads the reply.
    pub fn say(&mut self, line: &str) -> io::Result<Reply> {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Goes on in TLS, and shows the server a certificate or none. The reply to STARTTLS may be a refusal.
    pub fn starttls(&mut self, certificate: Option<&Certificate>) -> io::Result<Reply> {
        let reply = self.say("STARTTLS")?;
        if !reply.is_refusal() {
            let encrypted = tls::Stream::over(self.connection.try_clone()?, certificate)?;
            self.stream = BufReader::new(Box::new(encrypted));
        }
        Ok(reply)
    }

    /// Reads a reply that is still to come, as to one of several lines that were said at once.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut reply = Reply { code: 0, lines: Vec::new() };
        while reply.lines.len() < LINES_MAX {
            let mut bytes = Vec::new();
            if self.stream.read_until(b'\n', &mut bytes)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let line = String::from_utf8_lossy(&bytes);
            let (code, rest) = line.trim_end_matches(['\r', '\n']).split_at_checked(3).unwrap_or_default();
            reply.code = code.parse().map_err(|_| broken(&line))?;
            reply.lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                return Ok(reply);
            }
        }
        Err(broken("a reply without end"))
    }
}

/// Says each line and compares the reply with what is expected: of a refusal the whole, with `ID` in place of an id.
pub fn talk(session: &mut Session, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        let reply = session.say(line).expect("the server answers");
        compare(line, &reply, expected);
    }
}

/// Compares one reply with what is expected.
pub fn compare(line: &str, reply: &Reply, expected: &str) {
    let reply = reply.to_string();
    let text = match reply.rsplit_once("; id=") {
        Some((text, id)) => {
            assert_eq!(id.len(), 13, "{line}: {reply}");
            format!("{text}; id=ID")
        }
        None => reply,
    };
    let is_refusal = expected.starts_with(['4', '5']);
    assert!(if is_refusal { text == expected } else { text.starts_with(expected) }, "{line}: {text}, not {expected}");
}

fn broken(line: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not an SMTP reply: {line:?}"))
}
