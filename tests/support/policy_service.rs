//! A policy service that answers by rules, as an administrator's own would (SMTPD_POLICY_README).

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// What the service does when it is asked with a certain `policy_context`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The `policy_context` that it is for.
    pub context: String,
    /// The attribute that it looks at.
    pub attribute: &'static str,
    /// The value at which it acts; any other is answered with `DUNNO`.
    pub value: String,
    /// What it does then.
    pub answer: Answer,
}

/// What a service may answer.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// An action of access(5).
    Action(&'static str),
    /// These bytes, that are no answer; then it hangs up.
    Garbage(&'static str),
}

/// Serves at `address` by these rules until the process ends.
pub fn serve(address: &str, rules: Vec<Rule>) {
    let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let rules: Arc<HashMap<String, Rule>> =
        Arc::new(rules.into_iter().map(|rule| (rule.context.clone(), rule)).collect());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let rules = Arc::clone(&rules);
            thread::spawn(move || answer(&stream, &rules));
        }
    });
}

/// Answers one request after the other on a connection.
fn answer(mut stream: &TcpStream, rules: &HashMap<String, Rule>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let request = request(&mut reader)?;
        // Of a decision nobody knows which of the two the client said, so here they are one.
        let said = |name: &str| match request.get(name).map(String::as_str).unwrap_or_default() {
            "EHLO" => "HELO",
            value => value,
        };
        let rule = rules.get(said("policy_context"));
        match rule.filter(|rule| said(rule.attribute) == rule.value).map(|rule| rule.answer) {
            Some(Answer::Garbage(bytes)) => return stream.write_all(bytes.as_bytes()),
            Some(Answer::Action(action)) => stream.write_all(format!("action={action}\n\n").as_bytes())?,
            None => stream.write_all(b"action=DUNNO\n\n")?,
        }
    }
}

/// The attributes up to the empty line.
fn request(reader: &mut impl BufRead) -> io::Result<HashMap<String, String>> {
    let mut attributes = HashMap::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line);
        match line.trim_end_matches('\n').split_once('=') {
            Some((name, value)) => drop(attributes.insert(name.to_owned(), value.to_owned())),
            None => return Ok(attributes),
        }
    }
}
