//! Policy requests: any bytes, in any pieces, are a request or an error; a reply stays one line; what a
//! client writes is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::policy::{Error, Reader, Request, push_reply, push_request, reply};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = Reader::default().next(bytes);
    assert_eq!(in_pieces(bytes, usize::from(piece).max(1)), whole);
    if let Ok(Some((request, _))) = whole {
        if let Ok(question) = request.question() {
            let mut asked = Vec::new();
            push_request(&question, &request.policy_context, &mut asked);
            let read = Reader::default().next(&asked).unwrap().unwrap();
            assert_eq!((read.1, read.0.question().map(|read| read.state)), (asked.len(), Ok(question.state)));
        }
        let mut written = Vec::new();
        push_reply(&request.helo_name, &mut written);
        assert!(written.ends_with(b"\n\n") && !written[..written.len() - 2].contains(&b'\n'));
        assert_ne!(reply(&written), Ok(None), "it is whole, or too long");
    }
    if let Ok(Some(action)) = reply(bytes) {
        assert!(!action.contains('\n'));
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
