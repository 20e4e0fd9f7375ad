//! Times and spans as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 by this machine's clock.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `2025-11-25T17:48:02.123Z`. Universal time, so that it compares with the server's logs.
pub fn stamp(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// `850 ms`, `12 s`, `3 min 4 s`, `2 h 5 min`, `3 d 4 h`.
pub fn span(ms: i64) -> String {
    let ms = ms.max(0);
    let (s, m, h, d) = (ms / 1000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{s} s"),
        60_000..3_600_000 => format!("{m} min {} s", s % 60),
        3_600_000..86_400_000 => format!("{h} h {} min", m % 60),
        _ => format!("{d} d {} h", h % 24),
    }
}

/// Reads `90s`, `15m`, `2h`, `1d`; a bare number counts seconds.
pub fn parse_span(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text}: write a number with a unit, such as 90s, 15m, 2h or 1d");
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..end].parse().map_err(|_| wrong())?;
    let factor = match &text[end..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stamps_are_calendar_dates() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(stamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(stamp(1_764_092_882_123), "2025-11-25T17:48:02.123Z");
        assert_eq!(stamp(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn spans_are_short() {
        for (ms, text) in
            [(0, "0 ms"), (12_000, "12 s"), (184_000, "3 min 4 s"), (7_500_000, "2 h 5 min"), (273_600_000, "3 d 4 h")]
        {
            assert_eq!(span(ms), text);
        }
        assert_eq!(parse_span("15m"), Ok(900_000));
        assert_eq!(parse_span("30"), Ok(30_000));
        assert!(parse_span("soon").is_err() && parse_span("99999999999999999d").is_err());
    }

    proptest! {
        #[test]
        fn any_time_is_stamped_without_a_panic(ms in any::<i64>(), text in "\\PC{0,12}") {
            let _ = (stamp(ms), span(ms), parse_span(&text));
        }
    }
}
