//! The milter door by the milter clients of others, which speak every stage of the protocol and judge what comes back.

use std::process::Command;

use crate::support::peers::{PEERS, Peer, present, program};
use crate::support::program::Server;
use crate::support::project;

const LISTS: &str = r#"
client = ["check_client_access inline:{{198.51.100.66 = REJECT go away}}"]
helo = ["check_helo_access inline:{{bad.example = REJECT no such greeting}}"]
sender = ["check_sender_access inline:{{bad@example.org = REJECT not you}}"]
relay = []
recipient = """
    check_recipient_access inline:{{trap@example.com = REJECT nobody lives here}, {later@example.com = DEFER come back},
        {hold@example.com = HOLD}, {mark@example.com = PREPEND X-Mark: 100%}, {gone@example.com = DISCARD},
        {copy@example.com = BCC copied@example.com}, {move@example.com = REDIRECT moved@example.com}}
"""
data = ["check_sender_access inline:{{data@example.org = REJECT not this}}"]
end_of_data = ["check_sender_access inline:{{end@example.org = REJECT not that}}"]
"#;

/// The PyPI package: whole replies, each version, what no mail server should say.
#[test]
fn the_pypi_package_miltertest_speaks_every_stage() {
    if present("milter_clients::pypi", &[Peer::Program("python3"), Peer::Fetched("python/miltertest")]) {
        let mut client = Command::new(program("python3").unwrap());
        client.env("PYTHONPATH", project(PEERS).join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
        speak(client.arg(project("tests/milter_clients/dialogues.py")), |_, endpoint| endpoint);
    }
}

/// OpenDKIM's: the letters of replies, the changes of messages, and steps that nobody wants to be told of.
#[test]
fn miltertest_of_opendkim_speaks_every_stage() {
    if present("milter_clients::opendkim", &[Peer::Program("miltertest")]) {
        let mut client = Command::new(program("miltertest").unwrap());
        client.arg("-s").arg(project("tests/milter_clients/dialogues.lua"));
        speak(&mut client, |name, endpoint| format!("-D{name}={endpoint}"));
    }
}

/// Runs `client` against two servers, told as `argument` writes them: one judges with `delay_reject`, one without.
fn speak(client: &mut Command, argument: impl Fn(&str, String) -> String) {
    let directory = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/milter", directory.path().display());
    let delayed = serve(&socket, true);
    let staged = serve("inet:127.0.0.1:0", false);
    let port = staged.endpoint().rsplit_once(':').unwrap().1.to_owned();
    client.arg(argument("delayed", socket)).arg(argument("staged", format!("inet:{port}@127.0.0.1")));
    let output = client.output().unwrap();
    let [told, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}\n{told}{complaint}\n{}\n{}", output.status, delayed.log(), staged.log());
}

fn serve(endpoint: &str, delay_reject: bool) -> Server {
    Server::start(&format!(
        "hostname = \"mx.test\"\ndoors.policy.listen = []\ndoors.milter.listen = [\"{endpoint}\"]\n\
         [restrictions]\ndelay_reject = {delay_reject}\n{LISTS}"
    ))
}
