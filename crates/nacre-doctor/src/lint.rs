//! Whether a content is what its type says, as far as a light look can tell. It never complains of what is right, and does
//! not find everything that is wrong.

/// What is wrong with the content, with its line; `None` when nothing was found or the type is not known.
pub fn complaint(config_type: &str, content: &str) -> Option<String> {
    match config_type {
        "json" => serde_json::from_str::<serde::de::IgnoredAny>(content).err().map(|error| error.to_string()),
        "yaml" | "yml" => yaml(content),
        "properties" => properties(content),
        "xml" => xml(content),
        _ => None,
    }
}

/// A tab that indents, and a key twice at the top of a document.
fn yaml(content: &str) -> Option<String> {
    let mut keys = std::collections::HashMap::new();
    // Inside of a block scalar or a flow over several lines everything goes; only what is less indented ends it.
    let mut block: Option<usize> = None;
    let mut flow = 0_i64;
    for (at, line) in content.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = at + 1;
        let indent = line.len() - line.trim_start_matches(' ').len();
        let text = line.trim_end();
        if text.trim_start().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        if block.is_some_and(|above| indent > above) {
            continue;
        }
        block = None;
        if text == "---" || text == "..." || text.starts_with("--- ") {
            keys.clear();
            continue;
        }
        if flow == 0 && text.trim_start_matches(' ').starts_with('\t') {
            return Some(format!("line {number}: a tab indents it, YAML wants blanks"));
        }
        let was_flow = flow > 0;
        flow = (flow + opened(text)).max(0);
        if ["|", ">", "|-", ">-", "|+", ">+"].iter().any(|mark| text.ends_with(&format!(": {mark}"))) {
            block = Some(indent);
        }
        // A quoted text may go on over lines: then nothing below can be told from a key.
        if text.matches('"').count() % 2 == 1 || text.matches('\'').count() % 2 == 1 {
            return None;
        }
        if was_flow || indent > 0 {
            continue;
        }
        let key = text.split_once(": ").map(|(key, _)| key).or_else(|| text.strip_suffix(':'));
        let plain = |key: &&str| !key.starts_with(['-', '?', '"', '\'', '{', '[', '<', '&', '*', '%']);
        if let Some(key) = key.filter(plain)
            && let Some(first) = keys.insert(key.to_owned(), number)
        {
            return Some(format!("line {number}: the key `{key}` is there twice, first in line {first}"));
        }
    }
    None
}

fn opened(text: &str) -> i64 {
    text.chars().map(|c| if matches!(c, '{' | '[') { 1 } else { -i64::from(matches!(c, '}' | ']')) }).sum()
}

/// A `\u` that four hexadecimal digits do not follow makes Java give up the whole file.
fn properties(content: &str) -> Option<String> {
    for (at, line) in content.lines().enumerate() {
        if line.trim_start().starts_with(['#', '!']) {
            continue;
        }
        let mut rest = line;
        while let Some(found) = rest.find('\\') {
            let after = &rest[found + 1..];
            if let Some(digits) = after.strip_prefix('u') {
                let hex = digits.chars().take(4).filter(char::is_ascii_hexdigit).count();
                if hex < 4 {
                    return Some(format!("line {}: Malformed \\uxxxx encoding", at + 1));
                }
            }
            rest = after.char_indices().nth(1).map_or("", |(next, _)| &after[next..]);
        }
    }
    None
}

/// Elements that do not end, or end in another order.
fn xml(content: &str) -> Option<String> {
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut rest = content;
    let mut line = 1;
    while let Some(found) = rest.find('<') {
        line += rest[..found].matches('\n').count();
        rest = &rest[found..];
        let (end, skipped) = if rest.starts_with("<!--") {
            ("-->", true)
        } else if rest.starts_with("<![CDATA[") {
            ("]]>", true)
        } else if rest.starts_with("<?") {
            ("?>", true)
        } else if rest.starts_with("<!") {
            // A document type may hold an internal subset; that is not looked into.
            return None;
        } else {
            (">", false)
        };
        let Some(length) = rest.find(end).map(|at| at + end.len()) else {
            return Some(format!("line {line}: what begins with `{}` does not end", rest.get(..9).unwrap_or(rest)));
        };
        let tag = &rest[..length];
        if !skipped && !tag.ends_with("/>") {
            let name = tag[1..].trim_end_matches('>').trim_start_matches('/');
            let name = name.split(|c: char| c.is_whitespace()).next().unwrap_or("");
            if !tag.starts_with("</") {
                open.push((name, line));
            } else {
                match open.pop() {
                    Some((begun, _)) if begun == name => {}
                    Some((begun, at)) => {
                        return Some(format!("line {line}: </{name}> ends <{begun}> of line {at}"));
                    }
                    None => return Some(format!("line {line}: </{name}> ends nothing")),
                }
            }
        }
        line += tag.matches('\n').count();
        rest = &rest[length..];
    }
    open.pop().map(|(name, at)| format!("line {at}: <{name}> does not end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_found_with_its_line() {
        for (kind, text, wanted) in [
            ("json", "{\"a\": 1,\n}", "line 2"),
            ("yaml", "a:\n\tb: 1\n", "line 2: a tab"),
            ("yaml", "a: 1\nb: 2\na: 3\n", "line 3: the key `a`"),
            ("properties", "a=1\nb=\\u12\n", "line 2: Malformed"),
            ("xml", "<a>\n<b></a>", "line 2: </a> ends <b>"),
            ("xml", "<a><b/>", "line 1: <a> does not end"),
        ] {
            let found = complaint(kind, text).unwrap_or_default();
            assert!(found.contains(wanted), "{kind} {text}: {found}");
        }
    }

    #[test]
    fn what_is_right_is_left_alone() {
        for (kind, text) in [
            ("json", "{\"a\": [1, 2]}"),
            ("yaml", "a: &x\n  k: 1\nb:\n  <<: *x\n---\na: 2\n# c\nt: |\n  x:\n  \ttab\nf: {a: 1,\n a: 2}\n"),
            ("yaml", "a: \"folded \\\n\tb\"\n"),
            ("yaml", "k: >-\n  a: 1\n  a: 2\nl:\n- a: 1\n- a: 2\n"),
            ("properties", "a=c:\\\\users\n# \\u1\nb=\\u4e2d\n"),
            ("xml", "<?xml version=\"1.0\"?><!-- <x> --><a b=\"c\"><c/><![CDATA[<z>]]></a>"),
            ("text", "{"),
        ] {
            assert_eq!(complaint(kind, text), None, "{kind} {text}");
        }
    }
}
