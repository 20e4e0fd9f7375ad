//! Times as bodies, headers and file names spell them; always UTC.

use std::time::{Duration, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// Where the four digits of an HTTP date end, in milliseconds.
const YEAR_10000: u64 = 253_402_300_800_000;

/// Times no calendar holds are shown as the epoch.
fn utc(wall_ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(wall_ms).unwrap_or_default()
}

/// `2024-01-02T03:04:05.006+00:00`, the form of Timestamp fields.
pub fn iso8601(wall_ms: i64) -> String {
    utc(wall_ms).format("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()
}

/// `Tue, 02 Jan 2024 03:04:05 GMT`, the form of `Last-Modified`.
pub fn http_date(wall_ms: i64) -> String {
    // Sent with every config, and several times quicker than a format string.
    let since = u64::try_from(wall_ms).ok().filter(|ms| *ms < YEAR_10000).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(since))
}

/// `20240102030405`, the form of file names.
pub fn compact(wall_ms: i64) -> String {
    utc(wall_ms).format("%Y%m%d%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_bodies_headers_and_file_names() {
        assert_eq!(iso8601(1_704_164_645_006), "2024-01-02T03:04:05.006+00:00");
        assert_eq!(http_date(1_704_164_645_006), "Tue, 02 Jan 2024 03:04:05 GMT");
        assert_eq!(http_date(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(compact(1_704_164_645_006), "20240102030405");
        assert_eq!(http_date(i64::MAX), http_date(0));
    }
}
