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
    // A source route has no meaning any more (RFC 5321 appendix C).
    let routeless = match inside.split_once(':') {
        Some((route, rest)) if route.starts_with('@') => rest,
        _ => inside,
    };
    if routeless.contains(['"', '\\', '(', '<', '>', '[', ',', ';', ' ', '\t']) {
        Cow::Owned(parsed(routeless))
    } else {
        Cow::Borrowed(routeless)
    }
}

/// The address in `text` without what RFC 822 lets stand beside it: a name before angle brackets, comments, white space,
/// and the quotes and backslashes that protect all that. Groups and lists are no sender and no recipient: they stay as
/// they are, which is no address to any restriction.
fn parsed(text: &str) -> String {
    let mut address = String::with_capacity(text.len() + 1);
    let (mut is_quoted, mut is_literal, mut comments) = (false, false, 0_usize);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if comments > 0 => drop(chars.next()),
            '\\' => address.extend(chars.next()),
            '"' if comments == 0 && !is_literal => is_quoted = !is_quoted,
            _ if is_quoted => address.push(c),
            _ if is_literal => {
                is_literal = c != ']';
                address.push(c);
            }
            '(' => comments += 1,
            ')' if comments > 0 => comments -= 1,
            _ if comments > 0 => {}
            '<' if chars.as_str().contains('>') => address.clear(),
            ',' | '>' if address.is_empty() || chars.as_str().is_empty() => {}
            ',' | ';' | '>' => return text.to_owned(),
            ' ' | '\t' => {}
            _ => {
                is_literal = c == '[';
                address.push(c);
            }
        }
    }
    if address.is_empty() && text.contains(char::is_alphanumeric) {
        // The null sender has rights of its own: nobody is taken for it who names anybody anywhere.
        return text.to_owned();
    }
    // Postfix closes what was left open.
    address.extend(is_literal.then_some(']'));
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cases: &[(&str, &str)]) {
        for (path, expected) in cases {
            assert_eq!(address((*path).into()), *expected, "{path}");
            assert_eq!(address(Cow::Owned((*path).into())), *expected, "{path}");
        }
    }

    #[test]
    fn addresses_as_postfix_takes_them() {
        check(&[
            ("<a@b.example>", "a@b.example"),
            ("a@b.example", "a@b.example"),
            ("<>", ""),
            ("", ""),
            ("<", "<"),
            ("<postmaster>", "postmaster"),
            ("<@x.example,@y.example:a@b.example>", "a@b.example"),
            ("<a:b@c.example>", "a:b@c.example"),
            ("<\"a b\"@c.example>", "a b@c.example"),
            ("\"a\\\"@d\"@c.example", "a\"@d@c.example"),
            ("<a\\@b@c.example>", "a@b@c.example"),
            ("<a(x(y\\)))@(z)b.example>", "a@b.example"),
            ("<\"a(x\"@b.example>", "a(x@b.example"),
            ("x<a@b.example>", "a@b.example"),
            ("<<a@b.example>>", "a@b.example"),
            ("<a@[192.0.2.1]>", "a@[192.0.2.1]"),
            ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
            ("<a @ b.example>", "a@b.example"),
            ("<a@b.example", "<a@b.example"),
            ("<\"a@b.example>", "a@b.example"),
            ("<a@b(.example>", "a@b"),
            ("<a@[192.0.2.1>", "a@[192.0.2.1]"),
            ("<a@[(b\\]>", "a@[(b]]"),
            ("<>a@b.example>", "a@b.example"),
            ("<,a@b.example,>", "a@b.example"),
            ("<ä@ö.example>", "ä@ö.example"),
        ]);
    }

    #[test]
    fn what_hides_an_address_is_none() {
        check(&[
            ("<x:a@b.example;>", "x:a@b.example;"),
            ("<a@b.example:<>>", "a@b.example:<>"),
            ("<a@b.example>x:c@d.example;>", "a@b.example>x:c@d.example;"),
            ("<a@b.example,c@d.example>", "a@b.example,c@d.example"),
        ]);
    }
}
