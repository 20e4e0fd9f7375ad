//! Times in the database: `YYYY-MM-DD HH:MM:SS.mmm`, always UTC. Old rows may lack the fraction or hold milliseconds as
//! a number.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use rusqlite::types::ValueRef;

/// Milliseconds since the epoch as the database shows them; times no calendar holds are the epoch.
pub(crate) fn to_text(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%Y-%m-%d %H:%M:%S%.3f").to_string()
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
        fn texts_sort_like_times(a in 0i64..253_402_300_800_000, b in 0i64..253_402_300_800_000) {
            prop_assert_eq!(to_text(a).cmp(&to_text(b)), a.cmp(&b));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[-0-9: T.Zé]{0,24}") {
            let _ = parse(&text);
        }
    }
}
