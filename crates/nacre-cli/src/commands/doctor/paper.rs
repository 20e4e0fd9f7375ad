//! Text on 80 columns.

use crate::output::width;

/// Columns that every terminal has.
pub const WIDTH: usize = 80;

/// The text in lines of at most `columns`, broken between words; a word that is longer is broken where the line ends.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    let words = text.split_whitespace().flat_map(|word| pieces(word).into_iter().enumerate());
    for (n, mut word) in words {
        let wide = width(word);
        // Only words have a blank between them.
        let blank = usize::from(n == 0 && used > 0);
        if used > 0 && used + blank + wide <= columns {
            line.push_str(&" ".repeat(blank));
            line.push_str(word);
            used += blank + wide;
            continue;
        }
        if used > 0 && (wide <= columns || used + 8 > columns) {
            lines.push(std::mem::take(&mut line));
            used = 0;
        } else if used > 0 {
            line.push_str(&" ".repeat(blank));
            used += blank;
        }
        while used + width(word) > columns {
            let cut = fitting(word, columns - used);
            line.push_str(&word[..cut]);
            word = &word[cut..];
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        line.push_str(word);
        used += width(word);
    }
    if used > 0 {
        lines.push(line);
    }
    lines
}

/// Where a word may be broken: between wide characters, as Chinese is written. Closing marks stay with what is before them, opening ones
/// with what comes after.
fn pieces(word: &str) -> Vec<&str> {
    const CLOSE: &str = "，。；：、！？）】》”’";
    const OPEN: &str = "（【《“‘";
    let mut out = Vec::new();
    let mut from = 0;
    let mut before: Option<char> = None;
    for (at, c) in word.char_indices() {
        let is_wide = |c: char| width(c.encode_utf8(&mut [0; 4])) > 1 || OPEN.contains(c);
        let may = before.is_some_and(|before| (is_wide(before) || is_wide(c)) && !OPEN.contains(before));
        if may && !CLOSE.contains(c) {
            out.push(&word[from..at]);
            from = at;
        }
        before = Some(c);
    }
    out.push(&word[from..]);
    out
}

/// Bytes of the beginning that fit; at least one character.
fn fitting(word: &str, columns: usize) -> usize {
    let mut used = 0;
    for (at, c) in word.char_indices() {
        used += width(c.encode_utf8(&mut [0; 4]));
        if used > columns && at > 0 {
            return at;
        }
    }
    word.len()
}

/// A bar of `value` in `most`, at least one mark for anything at all. ASCII, so that every terminal shows it.
pub fn bar(value: u64, most: u64, columns: usize) -> String {
    if value == 0 || most == 0 {
        return String::new();
    }
    let length = (value as f64 / most as f64 * columns as f64).round() as usize;
    "#".repeat(length.clamp(1, columns))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), Vec::<String>::new());
        assert_eq!(wrapped("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("中文中文", 4), ["中文", "中文"]);
        assert_eq!(
            wrapped("设置了 enabled=false：多健康，都得不到（它）。", 24),
            ["设置了 enabled=false：多", "健康，都得不到（它）。"]
        );
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_no_letter_is_lost(text in "\\PC{0,200}", columns in 2_usize..100) {
            let lines = wrapped(&text, columns);
            for line in &lines {
                prop_assert!(width(line) <= columns.max(2), "{line:?}");
            }
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
