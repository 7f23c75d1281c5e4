//! Policy requests: any bytes, in any pieces, are a request or an error; a reply stays one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::policy::{Request, Splitter, push_reply};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = Splitter::default().request_length(bytes);
    assert_eq!(in_pieces(bytes, usize::from(piece).max(1)), whole);
    if let Ok(Some(length)) = whole
        && let Ok(request) = Request::parse(&bytes[..length])
    {
        let _ = request.question();
        let mut reply = Vec::new();
        push_reply(&request.helo_name, &mut reply);
        assert!(reply.ends_with(b"\n\n") && !reply[..reply.len() - 2].contains(&b'\n'));
    }
});

/// What the splitter says when the bytes trickle in.
fn in_pieces(bytes: &[u8], piece: usize) -> Result<Option<usize>, wire::policy::Error> {
    let mut splitter = Splitter::default();
    for end in (piece..bytes.len()).step_by(piece).chain([bytes.len()]) {
        match splitter.request_length(&bytes[..end]) {
            Ok(None) => {}
            settled => return settled,
        }
    }
    Ok(None)
}
