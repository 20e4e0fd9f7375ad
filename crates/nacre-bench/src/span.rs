//! Spans and sizes as people write them.

use std::time::Duration;

/// `500ms`, `10s`, `2m`; a bare number is seconds.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text}: write 500ms, 10s or 2m");
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "ms" => number / 1_000.0,
        "s" | "" => number,
        "m" => number * 60.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// A span of a run: longer than nothing, at most an hour.
pub fn run_span(text: &str) -> Result<Duration, String> {
    let value = span(text)?;
    if value.is_zero() || value > Duration::from_secs(3600) {
        return Err(format!("{text}: from 1ms to 60m"));
    }
    Ok(value)
}

/// `1000`, `10k`, `1m`: numbers of things.
pub fn number(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase().replace('_', "");
    let (digits, factor) = match lower.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => lower.strip_suffix('m').map_or((lower.as_str(), 1), |digits| (digits, 1_000_000)),
    };
    let parsed: Option<u64> = digits.parse().ok();
    parsed.and_then(|number| number.checked_mul(factor)).ok_or_else(|| format!("{text}: write 1000, 10k or 1m"))
}

/// Microseconds for people: `85 us`, `1.25 ms`, `3.10 s`.
pub fn micros(us: f64) -> String {
    if us < 1_000.0 {
        format!("{us:.0} us")
    } else if us < 1_000_000.0 {
        format!("{:.2} ms", us / 1_000.0)
    } else {
        format!("{:.2} s", us / 1_000_000.0)
    }
}

/// Bytes for people.
pub fn bytes(bytes: f64) -> String {
    let size = bytes.abs();
    if size < 10_000.0 {
        format!("{bytes:.0} B")
    } else if size < 10_000_000.0 {
        format!("{:.1} KB", bytes / 1_000.0)
    } else {
        format!("{:.1} MB", bytes / 1_000_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_numbers_are_read_as_people_write_them() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(span("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(span("3"), Ok(Duration::from_secs(3)));
        assert_eq!(number("10k"), Ok(10_000));
        assert_eq!(number("1M"), Ok(1_000_000));
        assert_eq!(number("12_000"), Ok(12_000));
        for text in ["", "s", "-1s", "1h", "9e99m", "é"] {
            assert!(span(text).is_err(), "{text}");
        }
        for text in ["", "k", "-1", "1.5k", "99999999999999m"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn runs_are_bounded() {
        assert!(run_span("0s").is_err() && run_span("61m").is_err() && run_span("60m").is_ok());
    }
}
