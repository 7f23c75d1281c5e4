//! What the file and Valkey have: any octets are an entry, a ban, or none; and the URL: any text is one or a complaint, and
//! shows no password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::{Config, Url, read_any_row, read_anything, without_passwords};

fuzz_target!(|input: (&str, &[u8])| {
    let (text, value) = input;
    read_anything(value);
    read_any_row(value);
    let shown = without_passwords(text);
    assert_eq!(shown.len(), text.len());
    let url = Url::from(text);
    let _ = Config { url, ..Config::default() }.check();
    if !text.contains(['@', ':', '\n']) {
        let whole = format!("valkey://user:{text}@host/0");
        assert_eq!(without_passwords(&whole), format!("valkey://user:{}@host/0", "*".repeat(text.len())));
    }
});
