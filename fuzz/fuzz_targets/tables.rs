//! Table files: any bytes load, and lookups of anything end.
#![no_main]

use judge::tables::Table;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &str)| {
    let (source, key) = input;
    for table in [Table::of_keys("hash:/fuzz", source), Table::of_networks("cidr:/fuzz", source)] {
        let _ = table.find(&key.to_lowercase());
        let _ = table.find_part(&key.to_lowercase());
        for _ in table.warnings() {}
    }
    let _ = Table::open(&format!("inline:{key}"));
});
