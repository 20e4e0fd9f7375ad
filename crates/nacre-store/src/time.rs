//! Times in the database: `YYYY-MM-DD HH:MM:SS.mmm`, always UTC. Old rows may lack the fraction or hold milliseconds as
//! a number.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use rusqlite::types::ValueRef;

/// Milliseconds since the epoch as the database shows them; times no calendar holds are the epoch.
pub(crate) fn to_text(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    let Some(year) = u32::try_from(time.year()).ok().filter(|year| *year <= 9_999) else {
        return time.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    };
    // By hand: each publish writes four of them.
    let mut text = String::with_capacity(23);
    let mut put = |number: u32, digits: u32, behind: &str| {
        for place in (0..digits).rev() {
            text.push(char::from(b'0' + (number / 10_u32.pow(place) % 10) as u8));
        }
        text.push_str(behind);
    };
    put(year, 4, "-");
    put(time.month(), 2, "-");
    put(time.day(), 2, " ");
    put(time.hour(), 2, ":");
    put(time.minute(), 2, ":");
    put(time.second(), 2, ".");
    put(time.timestamp_subsec_millis(), 3, "");
    text
}

/// Milliseconds of a stored value; 0 for what is no time.
pub(crate) fn from_value(value: ValueRef<'_>) -> i64 {
    match value {
        ValueRef::Integer(ms) => ms,
        ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(parse).unwrap_or(0),
        ValueRef::Real(_) | ValueRef::Blob(_) | ValueRef::Null => 0,
    }
}

/// With `T` or a blank between, with or without fraction and `Z`; a date alone is its midnight.
fn parse(text: &str) -> Option<i64> {
    let text = text.trim().trim_end_matches('Z');
    let time = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(NaiveDateTime::from))?;
    Some(time.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_readable_and_utc() {
        assert_eq!(to_text(0), "1970-01-01 00:00:00.000");
        assert_eq!(to_text(1_795_624_316_624), "2026-11-25 16:31:56.624");
        assert_eq!(parse("2010-05-05 00:00:00"), Some(1_273_017_600_000));
        assert_eq!(parse("2010-05-05T00:00:00.5Z"), Some(1_273_017_600_500));
        assert_eq!(parse("2024-02-29"), Some(1_709_164_800_000));
        assert_eq!(parse("nonsense"), None);
        assert_eq!(parse("2024-13-01 00:00:00"), None);
        assert_eq!(from_value(ValueRef::Integer(7)), 7);
        assert_eq!(from_value(ValueRef::Null), 0);
    }

    proptest! {
        #[test]
        fn every_time_reads_back(ms in 0i64..253_402_300_800_000) {
            prop_assert_eq!(parse(&to_text(ms)), Some(ms));
        }

        #[test]
        fn times_are_written_as_the_calendar_does(ms in -62_167_219_200_000i64..300_000_000_000_000) {
            let want = DateTime::from_timestamp_millis(ms).unwrap().format("%Y-%m-%d %H:%M:%S%.3f").to_string();
            prop_assert_eq!(to_text(ms), want);
        }

        #[test]
        fn texts_sort_like_times(a in 0i64..253_402_300_800_000, b in 0i64..253_402_300_800_000) {
            prop_assert_eq!(to_text(a).cmp(&to_text(b)), a.cmp(&b));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[-0-9: T.Zé]{0,24}") {
            let _ = parse(&text);
        }
    }
}
