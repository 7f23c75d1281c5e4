//! The address in the argument of MAIL and RCPT, which a milter is given as the client has written it.

use std::borrow::Cow;

/// The address that Postfix takes out of `path`, in its internal form. Whoever reads it otherwise than Postfix can be led
/// past an access table: `<a(x)@b.example>` is delivered as from `a@b.example`.
pub(super) fn address(path: Cow<'_, str>) -> Cow<'_, str> {
    match path {
        Cow::Borrowed(path) => internal(path),
        Cow::Owned(path) => Cow::Owned(internal(&path).into_owned()),
    }
}

fn internal(path: &str) -> Cow<'_, str> {
    let inside = path.strip_prefix('<').and_then(|path| path.strip_suffix('>')).unwrap_or(path);
    // RFC 5321 §4.1.1.3: "The receiving system [...] MAY strip the source route".
    let routeless = match inside.split_once(':') {
        Some((route, rest)) if route.starts_with('@') => rest,
        _ => inside,
    };
    if routeless.contains(['"', '\\', '(', '<', '>', ' ', '\t']) {
        Cow::Owned(parsed(routeless))
    } else {
        Cow::Borrowed(routeless)
    }
}

/// What stands in the last angle brackets of `text`, or all of it, without what RFC 822 lets stand beside an address:
/// comments, white space, and the quotes and backslashes that protect them.
fn parsed(text: &str) -> String {
    let mut address = String::with_capacity(text.len());
    let (mut is_quoted, mut is_literal, mut comments) = (false, false, 0_usize);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if comments > 0 => drop(chars.next()),
            '\\' => address.extend(chars.next()),
            '"' if comments == 0 && !is_literal => is_quoted = !is_quoted,
            c if is_quoted => address.push(c),
            '(' if !is_literal => comments += 1,
            ')' if comments > 0 => comments -= 1,
            _ if comments > 0 => {}
            '<' if !is_literal => address.clear(),
            '>' if !is_literal => break,
            ' ' | '\t' if !is_literal => {}
            c => {
                is_literal = c == '[' || is_literal && c != ']';
                address.push(c);
            }
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_postfix_takes_them() {
        for (path, expected) in [
            ("<a@b.example>", "a@b.example"),
            ("a@b.example", "a@b.example"),
            ("<>", ""),
            ("", ""),
            ("<", ""),
            ("<postmaster>", "postmaster"),
            ("<@x.example,@y.example:a@b.example>", "a@b.example"),
            ("<a:b@c.example>", "a:b@c.example"),
            ("<\"a b\"@c.example>", "a b@c.example"),
            ("\"a\\\"@d\"@c.example", "a\"@d@c.example"),
            ("<a\\@b@c.example>", "a@b@c.example"),
            ("<a(x(y\\)))@(z)b.example>", "a@b.example"),
            ("<\"a(x\"@b.example>", "a(x@b.example"),
            ("x<a@b.example>y", "a@b.example"),
            ("<<a@b.example>>", "a@b.example"),
            ("<a@[192.0.2.1]>", "a@[192.0.2.1]"),
            ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
            ("<a @ b.example>", "a@b.example"),
            ("<a@b.example", "a@b.example"),
            ("<\"a@b.example>", "a@b.example"),
            ("<a@b(.example>", "a@b"),
            ("<ä@ö.example>", "ä@ö.example"),
        ] {
            assert_eq!(address(path.into()), expected, "{path}");
            assert_eq!(address(Cow::Owned(path.into())), expected, "{path}");
        }
    }
}
