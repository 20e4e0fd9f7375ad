//! Times in the database: `YYYY-MM-DD HH:MM:SS.mmm`, always UTC. Old rows may lack the fraction or hold milliseconds as
//! a number.

use rusqlite::types::ValueRef;

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since the epoch as the database shows them.
pub(crate) fn to_text(ms: i64) -> String {
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    let rest = ms.rem_euclid(DAY_MS);
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{:03}", rest % 1_000)
}

/// Milliseconds of a stored value; 0 for what is no time.
pub(crate) fn from_value(value: ValueRef<'_>) -> i64 {
    match value {
        ValueRef::Integer(ms) => ms,
        ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(parse).unwrap_or(0),
        ValueRef::Real(_) | ValueRef::Blob(_) | ValueRef::Null => 0,
    }
}

fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_at_checked(10)?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let mut ms = days(year, month, day) * DAY_MS;
    let time = time.trim_start_matches([' ', 'T']).trim_end_matches('Z');
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    for (part, unit) in clock.split(':').filter(|part| !part.is_empty()).zip([3_600_000, 60_000, 1_000]) {
        ms += part.parse::<i64>().ok()? * unit;
    }
    // The first three digits of the fraction are milliseconds.
    for (digit, unit) in fraction.chars().zip([100, 10, 1]) {
        ms += i64::from(digit.to_digit(10)?) * unit;
    }
    Some(ms)
}

/// Days since the epoch to a date of the Gregorian calendar (eras of 400 years, years from March).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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
