//! Digits of other scripts than ASCII's, which Java reads as numbers.

use std::borrow::Cow;

/// Their zeros: Arabic, its Persian form, Devanagari, Bengali, Thai, full width.
const ZEROS: [u32; 6] = [0x660, 0x6f0, 0x966, 0x9e6, 0xe50, 0xff10];

/// `text` with its digits of any script as ASCII ones, the full-width letters of hexadecimal numbers likewise.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.chars().map(plain_char).collect()) }
}

/// A digit of any of these scripts.
pub fn is_digit(c: char) -> bool {
    plain_char(c).is_ascii_digit()
}

fn plain_char(c: char) -> char {
    match u32::from(c) {
        code if code < 128 => c,
        code @ 0xff21..=0xff26 | code @ 0xff41..=0xff46 => char::from_u32(code - 0xfee0).unwrap_or(c),
        code => {
            let digit = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|digit| *digit < 10));
            digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_other_scripts_are_digits() {
        for (text, expected) in
            [("80", "80"), ("８0", "80"), ("٨٠", "80"), ("८०", "80"), ("Ａｆ", "Af"), ("端8", "端8")]
        {
            assert_eq!(plain(text), expected);
        }
        assert!(is_digit('7') && is_digit('٨') && !is_digit('½') && !is_digit('a'));
    }
}
