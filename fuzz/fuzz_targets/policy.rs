//! Policy requests: any bytes, in any pieces, are a request or an error; a reply stays one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::policy::{Error, Reader, Request, push_reply};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = Reader::default().next(bytes);
    assert_eq!(in_pieces(bytes, usize::from(piece).max(1)), whole);
    if let Ok(Some((request, _))) = whole {
        let _ = request.question();
        let mut reply = Vec::new();
        push_reply(&request.helo_name, &mut reply);
        assert!(reply.ends_with(b"\n\n") && !reply[..reply.len() - 2].contains(&b'\n'));
    }
});

/// What the reader says when the bytes trickle in.
fn in_pieces(bytes: &[u8], piece: usize) -> Result<Option<(Request<'_>, usize)>, Error> {
    let mut reader = Reader::default();
    for end in (piece..bytes.len()).step_by(piece).chain([bytes.len()]) {
        match reader.next(&bytes[..end]) {
            Ok(None) => {}
            settled => return settled,
        }
    }
    Ok(None)
}
