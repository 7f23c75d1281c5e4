//! Both doors at once, told of a session in the order of Postfix.

use std::collections::HashMap as Ids;
use std::time::{Duration, SystemTime};

use super::*;
use crate::milter::tests::{self as milter, CLIENT, MACROS};
use crate::policy::tests as policy;
use crate::{Gate, testing};

/// What Postfix says to which door, and what that answers. `#1` stands for the first id that is seen, `#2` for the next.
struct Case {
    name: &'static str,
    /// What is configured beside [`LISTS`].
    more: &'static str,
    dialogue: &'static [(&'static str, &'static str)],
    /// How many decisions the log tells of.
    decisions: usize,
}

const LISTS: &str = r#"
helo = ["check_helo_access inline:{{bad.example=REJECT}}"]
recipient = """check_recipient_access inline:{{hold@r=HOLD}, {no@r=REJECT no}, {marked@r=HOLD}, {gone@r=DISCARD},
    {later@r=DEFER_IF_PERMIT wait}, {some@r=PREPEND X-A: b}},
    check_recipient_access inline:{{marked@r=PREPEND X-A: b}, {some@r=BCC c@r}}"""
"#;
const WHOLE: &str = r#"
data = ["check_sender_access inline:{{data@s=HOLD}}"]
end_of_data = ["check_sender_access inline:{{end@s=HOLD}}"]
"#;

const HELO: (&str, &str) = ("milter H helo.example", "c");
const MAIL: (&str, &str) = ("milter M a@s", "c");

const CASES: &[Case] = &[
    Case {
        name: "what is wanted done is done once: the first by the one door, the second by the other",
        more: "",
        dialogue: &[
            HELO,
            MAIL,
            ("policy RCPT sender=a@s recipient=some@r", "PREPEND X-A: b"),
            ("milter R some@r", "c"),
            ("milter E", "+<\"c\"@r>| c"),
        ],
        decisions: 1,
    },
    Case {
        name: "for several lists at one RCPT there is one decision, and the more room for what it wants done",
        more: "",
        dialogue: &[
            HELO,
            MAIL,
            ("policy RCPT sender=a@s recipient=some@r", "PREPEND X-A: b"),
            ("policy RCPT sender=a@s recipient=some@r", "BCC c@r"),
            ("policy RCPT sender=a@s recipient=some@r", "DUNNO"),
            ("milter R some@r", "c"),
            ("milter E", "c"),
        ],
        decisions: 1,
    },
    Case {
        name: "a message is held once, and marked all the same",
        more: "",
        dialogue: &[
            HELO,
            MAIL,
            ("policy RCPT sender=a@s recipient=marked@r", "HOLD triggers HOLD action; id=#1"),
            ("milter R marked@r", "c"),
            ("milter E", "i||||X-A| b| c"),
        ],
        decisions: 1,
    },
    Case {
        name: "of a message that is thrown away nobody is asked any more",
        more: "",
        dialogue: &[
            HELO,
            MAIL,
            ("policy RCPT sender=a@s recipient=gone@r", "DISCARD triggers DISCARD action; id=#1"),
            ("milter R gone@r", "c"),
            ("milter R no@r", "c"),
            ("milter E", "d"),
        ],
        decisions: 1,
    },
    Case {
        name: "what Postfix does not refuse for us (warn_if_reject) the milter does, under the same id",
        more: "",
        dialogue: &[
            HELO,
            MAIL,
            ("policy RCPT sender=a@s recipient=no@r", "554 5.7.1 no; id=#1"),
            ("milter R no@r", "y554 5.7.1 <no@r>: Recipient address rejected: no; id=#1|"),
            ("policy RCPT sender=a@s recipient=later@r", "DEFER_IF_PERMIT 4.7.1 wait; id=#2"),
            ("policy RCPT sender=a@s recipient=later@r", "DEFER_IF_PERMIT 4.7.1 wait; id=#2"),
            ("milter R later@r", "y450 4.7.1 <later@r>: Recipient address rejected: wait; id=#2|"),
        ],
        decisions: 2,
    },
    Case {
        name: "the same recipient again is judged again",
        more: "",
        dialogue: &[
            HELO,
            MAIL,
            ("policy RCPT sender=a@s recipient=hold@r", "HOLD triggers HOLD action; id=#1"),
            ("milter R hold@r", "c"),
            ("policy RCPT sender=a@s recipient=hold@r", "HOLD triggers HOLD action; id=#2"),
            ("milter refused hold@r", "c"),
            ("policy RCPT sender=a@s recipient=hold@r", "HOLD triggers HOLD action; id=#3"),
            ("milter R hold@r", "c"),
            ("milter E", "c"),
        ],
        decisions: 3,
    },
    Case {
        name: "where the doors are told different things, each judges by itself",
        more: "",
        dialogue: &[
            HELO,
            MAIL,
            ("milter R hold@r", "c"),
            ("policy RCPT sender=a@s recipient=later@r", "DEFER_IF_PERMIT 4.7.1 wait; id=#1"),
            ("milter R no@r", "y554 5.7.1 <no@r>: Recipient address rejected: no; id=#2|"),
            ("policy RCPT sender=b@s recipient=no@r", "554 5.7.1 no; id=#3"),
            ("milter R no@r", "y554 5.7.1 <no@r>: Recipient address rejected: no; id=#4|"),
            ("policy RCPT sender=a@s recipient=no@r sasl_username=u", "554 5.7.1 no; id=#5"),
            ("milter R no@r", "y554 5.7.1 <no@r>: Recipient address rejected: no; id=#6|"),
        ],
        decisions: 7,
    },
    Case {
        name: "a session that no milter tells of is judged by itself",
        more: "",
        dialogue: &[
            HELO,
            MAIL,
            ("policy RCPT sender=a@s recipient=hold@r client_port=1", "HOLD triggers HOLD action; id=#1"),
            ("policy RCPT sender=a@s recipient=hold@r client_address=192.0.2.8", "HOLD triggers HOLD action; id=#2"),
            ("policy RCPT sender=a@s recipient=hold@r server_port=26", "HOLD triggers HOLD action; id=#3"),
            ("policy RCPT sender=a@s recipient=hold@r server_address=", "HOLD triggers HOLD action; id=#4"),
            ("milter R no@r", "y554 5.7.1 <no@r>: Recipient address rejected: no; id=#5|"),
        ],
        decisions: 5,
    },
    Case {
        name: "another message has nothing of the last, though the milter hears late of RSET",
        more: "",
        dialogue: &[
            HELO,
            MAIL,
            ("policy RCPT sender=a@s recipient=hold@r", "HOLD triggers HOLD action; id=#1"),
            ("milter R hold@r", "c"),
            ("policy MAIL sender=a@s", "DUNNO"),
            ("milter A", ""),
            MAIL,
            ("policy RCPT sender=a@s recipient=hold@r", "HOLD triggers HOLD action; id=#2"),
            ("milter R hold@r", "c"),
            ("milter E", "c"),
        ],
        decisions: 3,
    },
    Case {
        name: "what is refused before RCPT no milter is told of: said again, it is judged again",
        more: "delay_reject = false\n",
        dialogue: &[
            ("policy EHLO helo_name=bad.example", "554 5.7.1 Access denied; id=#1"),
            ("policy EHLO helo_name=bad.example", "554 5.7.1 Access denied; id=#2"),
            ("policy EHLO", "DUNNO"),
            HELO,
            ("policy MAIL sender=a@s", "DUNNO"),
            MAIL,
        ],
        decisions: 4,
    },
    Case {
        name: "VRFY is not told to a milter",
        more: "",
        dialogue: &[
            HELO,
            ("policy VRFY recipient=no@r", "554 5.7.1 no; id=#1"),
            ("policy VRFY recipient=no@r", "554 5.7.1 no; id=#2"),
        ],
        decisions: 2,
    },
    Case {
        name: "messages as a whole",
        more: WHOLE,
        dialogue: &[
            HELO,
            ("milter M data@s", "c"),
            ("policy RCPT sender=data@s recipient=u@r", "DUNNO"),
            ("milter R u@r", "c"),
            ("policy DATA sender=data@s recipient=u@r recipient_count=1", "HOLD triggers HOLD action; id=#1"),
            ("milter T", "c"),
            ("policy END-OF-MESSAGE sender=data@s recipient=u@r recipient_count=1", "DUNNO"),
            ("milter E", "c"),
            ("milter M end@s", "c"),
            ("milter R u@r", "c"),
            ("milter T", "c"),
            ("milter E", "qcheck_sender_access inline:{{end@s=HOLD}}; id=#2| c"),
        ],
        decisions: 6,
    },
];

/// Neither door carries out what it decides, nor leaves it to the other.
const IN_SHADOW: Case = Case {
    name: "in shadow",
    more: "",
    dialogue: &[
        HELO,
        MAIL,
        ("policy RCPT sender=a@s recipient=marked@r", "DUNNO"),
        ("milter R marked@r", "c"),
        ("policy RCPT sender=a@s recipient=some@r", "DUNNO"),
        ("milter R some@r", "c"),
        ("milter E", "c"),
    ],
    decisions: 2,
};

#[tokio::test]
async fn a_session_is_judged_once() {
    for case in CASES {
        check("enforce", case).await;
    }
    check("shadow", &IN_SHADOW).await;
}

async fn check(mode: &str, Case { name, more, dialogue, decisions }: &Case) {
    let gate = testing::gate(testing::settings_in(mode, &format!("{more}{LISTS}")));
    let milter = milter::serve(gate.clone(), crate::milter::Config::default()).await;
    let policy = policy::serve(gate.clone(), crate::policy::Config::default(), true).await;
    let macros = [MACROS, b"{daemon_addr}\x00192.0.2.25\0{daemon_port}\x0025\0"].concat();
    let (mut milter, mut policy) = (milter.connect(&macros, CLIENT).await, policy.connect().await);
    let mut ids = Ids::new();
    for (said, expected) in *dialogue {
        let (door, command) = said.split_once(' ').unwrap();
        let answer = if door == "policy" { ask(&mut policy, command).await } else { tell(&mut milter, command).await };
        assert_eq!(numbered(&answer, &mut ids), *expected, "{name}: {said}");
    }
    let (_, log) = gate;
    let log = log.lock().unwrap();
    assert_eq!(log.len(), *decisions, "{name}: {log:#?}");
}

/// Asks the policy door: a state, and attributes beside those of every request, or in their place.
async fn ask(client: &mut policy::Client, request: &str) -> String {
    let (state, attributes) = request.split_once(' ').unwrap_or((request, ""));
    let usual = "client_address=192.0.2.9 client_port=40804 server_address=192.0.2.25 server_port=25 \
                 client_name=mail.example reverse_client_name=mail.example helo_name=helo.example instance=1.2.3";
    let given = |name: &str| attributes.split(' ').any(|attribute| attribute.split('=').next() == Some(name));
    let usual = usual.split_whitespace().filter(|attribute| !attribute.split('=').next().is_some_and(given));
    let lines = usual.chain(attributes.split_whitespace()).map(|attribute| format!("{attribute}\n"));
    let lines: String = lines.collect();
    let request = format!("request=smtpd_access_policy\nprotocol_state={state}\n{lines}\n");
    let answer = client.ask(request.as_bytes()).await;
    answer.strip_prefix("action=").unwrap().trim_end().to_owned()
}

/// Tells the milter door a command, and puts its answers one after the other.
async fn tell(server: &mut milter::Server, command: &str) -> String {
    let (mut letter, argument) = command.split_once(' ').unwrap_or((command, ""));
    if letter == "refused" {
        server.send(b'D', b"R{rcpt_mailer}\0error\0").await;
        letter = "R";
    }
    let fields = match letter {
        "M" | "R" => format!("<{argument}>\0"),
        "H" => format!("{argument}\0"),
        _ => String::new(),
    };
    server.send(letter.as_bytes()[0], fields.as_bytes()).await;
    let mut answers = Vec::new();
    while letter != "A" && !answers.last().is_some_and(|last: &String| last.starts_with(['c', 'd', 'y', '\0'])) {
        let (kind, fields) = server.reply().await;
        answers.push(format!("{kind}{fields}"));
    }
    answers.join(" ")
}

/// `text` with a number in place of its id.
fn numbered(text: &str, ids: &mut Ids<String, usize>) -> String {
    let Some((before, rest)) = text.split_once("; id=") else { return text.to_owned() };
    let (id, after) = rest.split_at(13);
    let next = ids.len() + 1;
    format!("{before}; id=#{}{after}", ids.entry(id.to_owned()).or_insert(next))
}

#[tokio::test]
async fn a_milter_connection_keeps_one_decision_while_it_lasts() {
    let (gate, _) = testing::gate(testing::settings(""));
    let client = Client { port: 40804, ..Client::new([192, 0, 2, 9].into()) };
    let key = || Key::new(&client, "192.0.2.25", "25");
    let row = async |gate: &Gate| {
        let facts = Facts::new(client.clone()).into();
        gate.decide("policy", facts, Stage::Rcpt, SystemTime::UNIX_EPOCH, Duration::MAX).await
    };
    let (seams, mut facts) = (&gate.seams, Facts::new(client.clone()));
    let first = seams.enter(key().unwrap());
    let shared = seams.find(key).unwrap();
    let [one, other] = [row(&gate).await, row(&gate).await];
    let other_id = other.decision.id;
    shared.leave(one);
    shared.leave(other);
    assert_eq!(first.hear(Stage::Rcpt, &facts).unwrap().decision.id, other_id);
    facts.instance = Some(7);
    assert!(first.hear(Stage::Rcpt, &facts).is_none());
    facts.instance = Some(1);
    assert!(shared.ask(Stage::Rcpt, &mut facts).is_none());
    assert_eq!(facts.instance, Some(7), "both call the message the same");

    // XCLIENT may leave the key as it was, and the old connection ends after the new one has begun.
    let second = seams.enter(key().unwrap());
    shared.leave(row(&gate).await);
    assert!(seams.find(key).unwrap().ask(Stage::Rcpt, &mut facts).is_none(), "nothing of the first");
    drop(first);
    assert!(seams.find(key).is_some());
    drop(second);
    assert!(seams.find(|| unreachable!("nobody looks")).is_none());
    assert!(locked(&seams.shared).is_empty());
}
