//! Lists of restrictions: whatever an administrator writes compiles, or is complained about inside the file.
#![no_main]

use judge::{Config, Settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Files are not ours to open here.
    if text.contains(['/', '.']) && !text.contains("inline:") {
        return;
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace(|c: char| c.is_control(), " ");
    // As a list, as a class that the list names, and as a row of a table.
    let file = format!(
        "[restrictions]\nrecipient = [\"{escaped}\"]\nsender = \"$a, check_sender_access static:{{{{a}}}}\"\n\
         [restrictions.classes]\na = \"{escaped}\"\n[postfix]\ndefault_rbl_reply = \"{escaped}\"\n"
    );
    let Ok(config) = toml::from_str::<Config>(&file) else { return };
    if let Err(mistakes) = Settings::compile(&config) {
        assert!(!mistakes.is_empty());
        for mistake in mistakes {
            assert!(mistake.place.is_none_or(|place| file.get(place.within(&file)).is_some()));
        }
    }
});
