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
    for word in text.split_whitespace() {
        let mut word = word;
        let wide = width(word);
        if used > 0 && used + 1 + wide <= columns {
            line.push(' ');
            line.push_str(word);
            used += 1 + wide;
            continue;
        }
        if used > 0 && (wide <= columns || used + 8 > columns) {
            lines.push(std::mem::take(&mut line));
            used = 0;
        } else if used > 0 {
            line.push(' ');
            used += 1;
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
