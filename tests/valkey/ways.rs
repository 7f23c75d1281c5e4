//! The ways to Redis: users, TLS, sentinels, a cluster.

use std::path::Path;

use super::{bans, gate, gate_with, section};
use crate::support::greylister::Gate;
use crate::support::peers::{Peer, present};
use crate::support::program;
use crate::support::redis::{PEERS, Redis};
use crate::support::tls::Authority;

/// First at one, again at the other.
fn check(gates: [Gate; 2]) -> [Gate; 2] {
    let [one, other] = &gates;
    assert!(one.waits(0, "203.0.113.7", "a@one.example"));
    assert!(!other.waits(400, "203.0.113.7", "a@one.example"));
    gates
}

#[test]
fn a_user_needs_few_rights_and_the_right_password() {
    if !present("valkey::user", &PEERS) {
        return;
    }
    let redis = Redis::start(&[]);
    // As in the manual.
    let user = "acl setuser portcullis on >se@cret ~portcullis:* resetchannels -@all +ping +get +set +del +eval +scan \
                +hincrby +hget +hgetall +hmget +hscan +hset +hsetnx +hdel +zadd +zrem +zrangebyscore +zremrangebyrank +select";
    let told = redis.cli(&user.split_whitespace().collect::<Vec<_>>());
    assert_eq!(told.trim(), "OK");
    redis.cli(&["acl", "setuser", "default", "off"]);
    let url = |user: &str, password: &str, database: &str| {
        section(&format!("valkey://{user}:{password}@127.0.0.1:{}/{database}", redis.port))
    };
    let [gate, _] = check([(); 2].map(|()| gate_with(&url("portcullis", "se%40cret", "0"))));
    bans::check(&format!("valkey://portcullis:se%40cret@127.0.0.1:{}/0", redis.port));
    assert!(gate.told(&["stats"], 0).contains("           1  triplets came back"));
    assert_eq!(gate.objects(&["forget", "a@one.example"], 0)[0]["forgotten"], 1);

    for (section, why) in [
        (url("portcullis", "wrongse%40cret", "0"), "AuthenticationFailed"),
        (url("nobody", "se%40cret", "0"), "AuthenticationFailed"),
        (url("portcullis", "se%40cret", "99"), "DB index is out of range"),
        (url("portcullis", "se%40cret", "0") + "key_prefix = \"other:\"\n", "NoPerm"),
    ] {
        let gate = Gate::start(&section);
        let line = gate.server.await_line("does not answer: ");
        assert!(line.contains(why), "{why}: {line}");
        assert!(!gate.waits(0, "203.0.113.7", "a@one.example"));
        let log = gate.server.stop().1;
        assert!(!log.contains("cret"), "{log}");
    }
}

#[test]
fn passwords_are_never_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portcullis.toml");
    let told = |text: &str, arguments: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let output = program::run(&[arguments, &["--config", file.to_str().unwrap()]].concat());
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let good = "[store]\nurl = \"valkey://u:se@cret@127.0.0.1:1/0\"\n";
    for arguments in [&["config", "show"][..], &["config", "show", "--json"]] {
        let told = told(good, arguments);
        assert!(told.contains("valkey://u:*******@127.0.0.1:1/0") && !told.contains("cret"), "{told}");
    }
    for bad in [
        "[store]\nurl = \"valkey://u:se@cret@127.0.0.1:x/0\"\n",
        "[store]\nurl = \"valkey:/u:se@cret@127.0.0.1\"\n",
        "[store]\nuri = \"valkey://u:se@cret@127.0.0.1\"\n",
        "[store]\nsize_max = \"valkey://u:se@cret@127.0.0.1\"\n",
        "[store]\nurl = \"valkey://u:se@cret@127.0.0.1\n",
    ] {
        for arguments in [&["config", "check"][..], &["config", "check", "--json"]] {
            let told = told(bad, arguments);
            assert!(told.contains("portcullis.toml") && !told.contains("cret"), "{told}");
        }
    }
}

#[test]
fn by_tls_with_the_authority_that_is_named() {
    if !present("valkey::tls", &[&PEERS[..], &[Peer::Program("openssl")]].concat()) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let shown = |path: &Path| path.display().to_string();
    let [certificate, key] = authority.signed_for_server("localhost").files().map(|file| shown(&file));
    let [own, own_key] = authority.signed_for_server("mx1").files().map(|file| shown(&file));
    let ca = shown(&authority.file());
    let server = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let client = ["--tls", "--cacert", &ca, "--cert", &own, "--key", &own_key];
    let ours = format!("tls_cert_file = \"{own}\"\ntls_key_file = \"{own_key}\"\n");
    let by_ca = format!("tls_ca_file = \"{ca}\"\n");
    for (redis, more) in [
        (Redis::start_for(&[&server[..], &["--tls-auth-clients", "no"]].concat(), &client), &by_ca),
        // By default Redis wants to know the client, too.
        (Redis::start_for(&server, &client), &format!("{by_ca}{ours}")),
    ] {
        let url = section(&format!("valkeys://localhost:{}/0", redis.port));
        check([(); 2].map(|()| gate_with(&format!("{url}{more}"))));
        for (section, why) in [
            (url.clone(), "does not answer: "),
            (section(&format!("valkeys://127.0.0.1:{}/0", redis.port)) + more, "does not answer: "),
            (url.replace("valkeys", "valkey"), "does not answer: "),
            (format!("{url}tls_ca_file = \"/nowhere/ca.pem\"\n"), "/nowhere/ca.pem: No such file"),
        ] {
            Gate::start(&section).server.await_line(why);
        }
    }
}

#[test]
fn sentinels_name_the_master() {
    if !present("valkey::sentinel", &PEERS) {
        return;
    }
    let mut master = Redis::start(&[]);
    let replica =
        Redis::start(&["--replicaof", "127.0.0.1", &master.port.to_string(), "--repl-diskless-sync-delay", "0"]);
    crate::support::wait_for("the replica", std::time::Duration::from_secs(30), || {
        replica.cli(&["info", "replication"]).contains("master_link_status:up").then_some(())
    });
    let sentinel = Redis::sentinel(master.port);
    crate::support::wait_for("the sentinel", std::time::Duration::from_secs(30), || {
        sentinel.cli(&["sentinel", "replicas", "main"]).contains(&replica.port.to_string()).then_some(())
    });
    // A sentinel that is not there is passed over.
    let url = format!("valkey+sentinel://127.0.0.1:1,127.0.0.1:{}/main/0", sentinel.port);
    let [one, other] = check([(); 2].map(|()| gate(&url)));
    master.kill();
    assert!(!one.waits(500, "203.0.113.7", "a@one.example"));
    for gate in [&one, &other] {
        gate.server.await_line("entries were written back");
    }
    assert!(one.waits(500, "203.0.113.8", "b@one.example"));
    assert!(!other.waits(900, "203.0.113.8", "b@one.example"));
    assert!(replica.cli(&["info", "replication"]).contains("role:master"));
    let unknown = Gate::start(&section(&url.replace("main", "nobody")));
    unknown.server.await_line("the sentinels know no master \"nobody\"");
}

#[test]
fn a_cluster_has_all_together() {
    if !present("valkey::cluster", &PEERS) {
        return;
    }
    let mut nodes = Redis::cluster();
    let url = format!("valkey+cluster://127.0.0.1:{},127.0.0.1:{}", nodes[0].port, nodes[1].port);
    let [one, other] = check([(); 2].map(|()| gate(&url)));
    bans::check(&url);
    for number in 0..60 {
        assert!(one.waits(0, "203.0.113.7", &format!("s{number}@many.example")));
    }
    for node in &nodes {
        assert!(node.cli(&["dbsize"]).trim().parse::<u32>().unwrap() > 5, "each has some");
    }
    assert_eq!(other.objects(&["list"], 0).len(), 62);
    assert!(other.told(&["stats"], 0).contains("          60  triplets wait"));
    assert_eq!(other.objects(&["forget", "s7@many.example"], 0)[0]["forgotten"], 1);
    // One of the nodes goes: with it a third of the keys, and then all.
    nodes[2].kill();
    let mut round = 0;
    crate::support::wait_for("the cluster to fail", std::time::Duration::from_secs(30), || {
        round += 1;
        one.waits(0, "203.0.113.7", &format!("r{round}@one.example"));
        one.server.log().contains("does not answer: ").then_some(())
    });
    nodes[2].start_again();
    crate::support::wait_for("the cluster to work", std::time::Duration::from_secs(30), || {
        round += 1;
        one.waits(0, "203.0.113.7", &format!("r{round}@two.example")).then_some(())
    });
}
