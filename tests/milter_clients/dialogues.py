"""Speaks with our milter door as a mail server does, by the PyPI package miltertest.

python3 dialogues.py DELAYED STAGED: where servers listen (unix:PATH, inet:PORT@HOST) of which the first judges with
delay_reject, the second without. The lists are those of milter_clients.rs. What differs from what is expected is told,
and the exit code is 1.
"""

import re
import socket
import sys

from miltertest import SMFI_V6_ACTS, SMFIC_OPTNEG, SMFIC_QUIT, SMFIF_SETSYMLIST, MilterConnection, codec

PATIENCE = 20
# A command of protocol 3 that the package does not know: a line of SMTP that the mail server does not know.
codec.codec["U"] = (("line", "str"),)

# What is offered: version, actions, protocol; what is agreed on.
NEGOTIATIONS = [
    ((2, 0x3F, 0x7F), (2, 0x2D, 0x70)),
    ((3, 0x3F, 0x17F), (3, 0x2D, 0x170)),
    ((4, 0x3F, 0x37F), (4, 0x2D, 0x170)),
    ((6, 0xFF, 0), (6, 0x2D, 0)),
    ((6, 0xFF, 0x1FFFFF), (6, 0x2D, 0x100970)),
    # No reply is left out, for each may be a refusal.
    ((6, 0xFF, 0xFF080), (6, 0x2D, 0x800 & 0xFF080)),
    ((6, 0x1FF, 0x1FFFFF), (6, 0x12D, 0x100970)),
    ((7, 0xFFFFFFFF, 0xFFFFFFFF), (6, 0x12D, 0x100970)),
]
# The macros that are asked for where that is offered, by stage.
MACROS = {
    0: "v {client_name} {client_ptr} {client_resolve} {daemon_addr} {daemon_port}",
    1: "{tls_version} {cert_subject}",
    2: "{auth_authen} {tls_version} {cert_subject}",
    3: "{rcpt_mailer}",
}
# Those who cannot do what we need are left.
REFUSED = [(1, 0x1FF, 0), (6, 0, 0), (6, 0x1FF ^ 0x20, 0x1FFFFF)]

NAMES = ["v", "Postfix 3.7.11", "{client_name}", "mail.example", "{client_ptr}", "mail.example", "{client_resolve}", "OK"]
CLIENT = [(("D", "C", NAMES), None), (("C", "mail.example", "4", 40804, "192.0.2.9"), "c")]
MAIL = [(("H", "helo.example"), "c"), (("M", ["<a@example.org>", "SIZE=100"]), "c")]
TRAP = "y|554| |5.7.1 <trap@example.com>: Recipient address rejected: nobody lives here; id=ID"
STRANGER = "y|554| |5.7.1 <bad.example[198.51.100.66]>: Client host rejected: go away; id=ID"
GREETING = "y|554| |5.7.1 <bad.example>: Helo command rejected: no such greeting; id=ID"
SENDER = "y|554| |5.7.1 <bad@example.org>: Sender address rejected: not you; id=ID"
FAILURE = "y|451| |4.3.0 This mail could not be checked, please try again later"


def rcpt(user, expected="c"):
    """A recipient of our domain."""
    return (("R", [f"<{user}@example.com>"]), expected)


# What is said, command letter and fields, and what is answered: letters and fields, one for each reply, or nothing.
DIALOGUES = {
    "every stage": CLIENT
    + [(("U", "WIZ"), "c")]
    + MAIL
    + [
        rcpt("user"),
        rcpt("trap", TRAP),
        rcpt("later", "y|450| |4.7.1 <later@example.com>: Recipient address rejected: come back; id=ID"),
        (("D", "R", ["{rcpt_mailer}", "error"]), None),
        rcpt("trap"),
        (("D", "R", []), None),
        rcpt("hold"),
        rcpt("mark"),
        rcpt("copy"),
        (("T",), "c"),
        (("L", "Subject", " hello"), "c"),
        (("L", "X-Empty", ""), "c"),
        (("N",), "c"),
        (("B", "hello\r\n" * 1000), "c"),
        (("B", ""), "c"),
        (("E",), ["i|0|X-Mark| 100%", '+|<"copied"@example.com>', "q|check_recipient_access WHY; id=ID", "c"]),
    ],
    "several messages, and one that is given up": CLIENT
    + MAIL
    + [rcpt("gone"), (("A",), None)]
    + MAIL
    + [rcpt("user"), (("E",), "c"), (("M", ["<data@example.org>"]), "c"), rcpt("user")]
    + [(("T",), "y|554| |5.7.1 <data@example.org>: Sender address rejected: not this; id=ID"), (("A",), None)]
    + [(("M", ["<end@example.org>"]), "c"), rcpt("user"), (("T",), "c")]
    + [(("E",), "y|554| |5.7.1 <end@example.org>: Sender address rejected: not that; id=ID")]
    + [(("M", ["<>"]), "c"), rcpt("gone"), rcpt("trap"), (("T",), "c"), (("E",), "d")]
    + [(("M", ["<>"]), "c"), rcpt("move")]
    + [(("E",), ['-|<"move"@example.com>', '+|<"moved"@example.com>', "c"])],
    "a second client on the connection": CLIENT
    + MAIL
    + [rcpt("hold"), (("K",), None), (("C", "bad.example", "4", 25, "198.51.100.66"), "c")]
    + MAIL
    + [rcpt("user", STRANGER), (("K",), None), (("C", "[2001:db8::9]", "6", 25, "IPv6:2001:db8::9"), "c")]
    + MAIL
    + [rcpt("user"), (("E",), "c")],
    "nobody": [(("C", "unknown", "U", 0, "unknown"), "c")] + MAIL + [rcpt("user", FAILURE)],
    "a program on the same host": [(("C", "localhost", "L", 0, "/run/x"), "c")] + MAIL + [rcpt("trap"), (("E",), "c")],
    "what is refused at RCPT": CLIENT
    + [(("H", "bad.example"), "c"), (("M", ["<bad@example.org>"]), "c"), rcpt("user", GREETING), (("A",), None)]
    + [(("H", "helo.example"), "c"), (("M", ["<bad@example.org>"]), "c"), rcpt("user", SENDER)],
}
# Without delay_reject.
DIALOGUES_STAGED = {
    "the client is refused": [(("C", "bad.example", "4", 25, "198.51.100.66"), STRANGER)],
    "greeting and sender are refused": CLIENT
    + [(("H", "bad.example"), GREETING), (("H", "helo.example"), "c"), (("M", ["<bad@example.org>"]), SENDER)]
    + [(("M", ["<a@example.org>"]), "c"), rcpt("trap", TRAP), rcpt("user"), (("E",), "c")],
}


def connect(endpoint):
    """A connection on which nothing was said."""
    kind, _, address = endpoint.partition(":")
    if kind == "unix":
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(address)
    else:
        port, host = address.split("@")
        stream = socket.create_connection((host, int(port)))
    stream.settimeout(PATIENCE)
    return MilterConnection(stream)


def offer(connection, numbers):
    """Offers these terms."""
    connection._send(SMFIC_OPTNEG, **dict(zip(("version", "actions", "protocol"), numbers)))


def agreed(connection):
    """What the filter answers to an offer: the numbers, and the macros, whose lists the package does not read."""
    stream = connection.sock.makefile("rb")
    length, _ = codec.decode("u32", stream.read(4))
    frame = stream.read(length)
    assert frame[:1] == b"O" and len(frame) == length, frame
    numbers, rest, macros = [], frame[1:], {}
    for _ in range(3):
        number, rest = codec.decode("u32", rest)
        numbers.append(number)
    while rest:
        stage, rest = codec.decode("u32", rest)
        macros[stage], rest = codec.decode("str", rest)
    return tuple(numbers), macros


def said(reply):
    """A reply as text: its letter and its fields, without what is another each time."""
    letter, fields = reply
    text = "|".join([letter, *map(str, fields.values())])
    text = re.sub(r"; id=[0-9A-Z]{13}$", "; id=ID", text)
    return re.sub(r"^(q\|check_recipient_access) .*; id=ID$", r"\1 WHY; id=ID", text)


def speak(endpoint, dialogue):
    """Says each line, and yields what was said, what is expected and what came where they differ."""
    connection = connect(endpoint)
    # The package takes an answer with names of macros for broken.
    connection.optneg_mta(actions=SMFI_V6_ACTS & ~SMFIF_SETSYMLIST)
    for (letter, *fields), expected in dialogue:
        connection._send(letter, **dict(zip((name for name, _ in codec.codec[letter]), fields)))
        expected = [expected] if isinstance(expected, str) else expected or []
        came = [said(connection.recv()) for _ in expected]
        if came != expected:
            yield f"{letter} {fields}", expected, came
    # Nothing came that nobody waited for.
    connection._send(SMFIC_QUIT)
    rest = connection.recv(eof_ok=True)
    if rest is not None:
        yield "the end", None, rest


def differences(delayed, staged):
    """What the servers answered otherwise than expected."""
    for numbers, expected in NEGOTIATIONS:
        connection = connect(delayed)
        offer(connection, numbers)
        expected = (expected, MACROS if expected[1] & SMFIF_SETSYMLIST else {})
        came = agreed(connection)
        if came != expected:
            yield f"offer {numbers}", expected, came
    for numbers in REFUSED:
        connection = connect(delayed)
        offer(connection, numbers)
        came = connection.recv(eof_ok=True)
        if came is not None:
            yield f"offer {numbers}", None, came
    for endpoint, dialogues in ((delayed, DIALOGUES), (staged, DIALOGUES_STAGED)):
        for name, dialogue in dialogues.items():
            for what, expected, came in speak(endpoint, dialogue):
                yield f"{name}: {what}", expected, came


found = list(differences(*sys.argv[1:]))
for what, expected, came in found:
    print(f"{what}\n  expected {expected}\n  came     {came}")
sys.exit(1 if found else 0)
