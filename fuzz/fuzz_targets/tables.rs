//! Table files: any bytes load, and lookups of anything end.
#![no_main]

use judge::tables::Table;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &str)| {
    let (source, key) = input;
    for name in ["hash:/fuzz", "cidr:/fuzz", "regexp:/fuzz", "pcre:/fuzz"] {
        look(Table::of_text(name, source), key);
    }
    // Types without files: the fuzzer must read none.
    let text = String::from_utf8_lossy(source).replace(':', ";");
    for kind in ["inline", "static", "randmap", "unionmap", "pipemap"] {
        look(Table::open(&format!("{kind}:{text}")), key);
    }
    look(Table::open(&format!("unionmap:{{pipemap:{{inline:{text} static:{text}}} inline:{text}}}")), key);
});

fn look(table: Result<Table, String>, key: &str) {
    let Ok(table) = table else { return };
    let _ = table.find(key);
    table.warnings().for_each(drop);
}
