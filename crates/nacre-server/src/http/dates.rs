//! Times as bodies, headers and file names spell them; always UTC.

use chrono::{DateTime, Utc};

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
    utc(wall_ms).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
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
