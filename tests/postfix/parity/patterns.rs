//! Rows of tables of patterns that match a drawn key.

/// The key that stands for any text.
pub const ANYTHING: &str = "*";

/// The lines that say `action` of every text with `key` in it, in one of several ways; the last way takes the whole
/// text to be the key, and says its halves too.
pub fn lines(key: &str, action: &str, way: usize) -> Vec<(String, String)> {
    let literal = if key == ANYTHING { ".".to_owned() } else { escaped(key) };
    let row = |pattern: &str| (pattern.to_owned(), action.to_owned());
    let within = |condition: &str, pattern: &str| {
        vec![("if".to_owned(), condition.to_owned()), row(pattern), ("endif".to_owned(), String::new())]
    };
    match way % 5 {
        0 => vec![row(&format!("/{literal}/"))],
        1 => within(&format!("/{literal}/"), "/^/"),
        2 => within("!/^nobody@nowhere$/", &format!("/{literal}/")),
        3 => within(&format!("/{literal}/"), "!/^$/"),
        _ => vec![captured(key, action)],
    }
}

/// Whether the action is a refusal whose text may go on.
pub fn is_text(action: &str) -> bool {
    ["REJECT ", "DEFER ", "4", "5"].iter().any(|start| action.starts_with(start))
}

/// A pattern of two groups, and the action with both where it is a text for the client.
fn captured(key: &str, action: &str) -> (String, String) {
    let (left, right) = match key {
        ANYTHING => (".*".to_owned(), ".".to_owned()),
        _ => {
            let (left, right) = key.split_at(key.len() / 2);
            (escaped(left), escaped(right))
        }
    };
    let action = if is_text(action) { format!("{action} $2-${{1}}$$$(2)") } else { action.to_owned() };
    (format!("/^({left})({right})$/"), action)
}

/// As a pattern that matches just this text.
fn escaped(text: &str) -> String {
    let special = |sign: char| ".[]()*+?{}^$|\\/".contains(sign);
    text.chars().flat_map(|sign| special(sign).then_some('\\').into_iter().chain([sign])).collect()
}
