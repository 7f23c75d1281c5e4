//! Segments of the journal: any octets are rows or are passed over, as a file and as a block whose checksum is right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::journal::{read_all, whole_segment};

fuzz_target!(|octets: &[u8]| {
    // A row has more octets than its length.
    assert!(read_all(octets) <= octets.len() / 4);
    assert!(read_all(&whole_segment(octets)) <= octets.len() / 4);
});
