//! Zone files: any text is a zone or a complaint that names its line.
#![no_main]

use dns::Zone;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(complaint) = Zone::parse(text, "zone.db") {
        assert!(complaint.to_string().starts_with("zone.db"), "{complaint}");
    }
});
