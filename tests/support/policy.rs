//! Postfix's side of the policy protocol (SMTPD_POLICY_README).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a policy server, as one smtpd process keeps it.
pub struct Connection {
    reader: BufReader<Box<dyn Read + Send>>,
    writer: Box<dyn Write + Send>,
}

impl Connection {
    /// Connects to `inet:127.0.0.1:10023` or `unix:/path`.
    pub fn open(endpoint: &str) -> io::Result<Self> {
        let (reader, writer): (Box<dyn Read + Send>, Box<dyn Write + Send>) = match endpoint.split_once(':') {
            Some(("unix", path)) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                (Box::new(stream.try_clone()?), Box::new(stream))
            }
            Some((_, address)) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                (Box::new(stream.try_clone()?), Box::new(stream))
            }
            None => return Err(io::ErrorKind::InvalidInput.into()),
        };
        Ok(Self { reader: BufReader::new(reader), writer })
    }

    /// Asks with these attributes beside `request`, and returns what follows `action=`.
    pub fn ask(&mut self, attributes: &[(&str, &str)]) -> io::Result<String> {
        let lines = attributes.iter().map(|(name, value)| format!("{name}={value}\n"));
        let request = format!("request=smtpd_access_policy\n{}\n", lines.collect::<String>());
        self.writer.write_all(request.as_bytes())?;
        let (mut action, mut end) = (String::new(), String::new());
        self.reader.read_line(&mut action)?;
        self.reader.read_line(&mut end)?;
        match action.trim_end_matches('\n').strip_prefix("action=") {
            Some(action) if end == "\n" => Ok(action.to_owned()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("not an answer: {action:?} {end:?}"))),
        }
    }
}
