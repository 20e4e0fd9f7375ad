//! Dates as HTTP and file names spell them.

use super::reply::civil;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

struct Fields {
    days: i64,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

fn fields(wall_ms: i64) -> Fields {
    let seconds = wall_ms.div_euclid(1_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    Fields { days, year, month, day, hour: of_day / 3_600, minute: of_day / 60 % 60, second: of_day % 60 }
}

/// `Tue, 02 Jan 2024 03:04:05 GMT`, the form of `Last-Modified`.
pub fn http_date(wall_ms: i64) -> String {
    let Fields { days, year, month, day, hour, minute, second } = fields(wall_ms);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let month = MONTHS[(month - 1).rem_euclid(12) as usize];
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// `20240102030405`, the form of file names.
pub fn compact(wall_ms: i64) -> String {
    let Fields { year, month, day, hour, minute, second, .. } = fields(wall_ms);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_headers_and_file_names() {
        assert_eq!(http_date(1_704_164_645_006), "Tue, 02 Jan 2024 03:04:05 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(compact(1_704_164_645_006), "20240102030405");
    }
}
