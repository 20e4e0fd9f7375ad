//! Properties, as `java.util.Properties` reads them: nearly everything is right.

use super::{BYTE_ORDER_MARK, Complaint};

/// A `\u` that four hexadecimal digits do not follow makes Java give up the whole file.
pub fn complaints(content: &str) -> Vec<Complaint> {
    let mut found = Vec::new();
    if content.starts_with(BYTE_ORDER_MARK) {
        found.push(Complaint::error(1, 1, "the first key begins with a byte order mark (U+FEFF), so nobody finds it"));
    }
    found.extend(content.lines().enumerate().find_map(|(at, line)| broken_escape(line, at + 1)));
    found
}

fn broken_escape(line: &str, number: usize) -> Option<Complaint> {
    if line.trim_start().starts_with(['#', '!']) {
        return None;
    }
    let mut rest = line;
    while let Some(found) = rest.find('\\') {
        let after = &rest[found + 1..];
        if let Some(digits) = after.strip_prefix('u') {
            let hex = digits.chars().take(4).filter(char::is_ascii_hexdigit).count();
            if hex < 4 {
                let before = line.len() - after.len() - 1;
                let column = line.get(..before).map_or(0, |text| text.chars().count()) + 1;
                return Some(Complaint::error(number, column, "Malformed \\uxxxx encoding"));
            }
        }
        rest = after.char_indices().nth(1).map_or("", |(next, _)| &after[next..]);
    }
    None
}
