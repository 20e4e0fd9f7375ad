//! Slips of the pen: whether somebody who wrote one name meant another.

/// Words shorter than this are too easily each other's neighbours: `dev` and `dex`, `v1` and `v2`.
const WORD: usize = 5;
/// From this length on two slips in a word are still one.
const LONG: usize = 8;

/// How many slips lie between two names; `None` where they are just two names. One word of a name may have them (a letter
/// too many, too few, another one, two in the other order), never in its first letter and never in figures: those tell
/// things apart. A separator that was left out or put in is one slip.
pub fn slips(asked: &str, there: &str) -> Option<usize> {
    let (a, b) = (asked.trim(), there.trim());
    if a.len().abs_diff(b.len()) > 2 || !first_of(a).eq_ignore_ascii_case(&first_of(b)) || a.eq_ignore_ascii_case(b) {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', '.'], "");
    if plain(a) == plain(b) {
        return Some(1);
    }
    let words =
        |name: &str| name.to_lowercase().split(['-', '_', '.', ':', ' ']).map(str::to_owned).collect::<Vec<_>>();
    let (a, b) = (words(a), words(b));
    if a.len() != b.len() {
        return None;
    }
    let mut other = a.iter().zip(&b).filter(|(a, b)| a != b);
    let (Some((a, b)), None) = (other.next(), other.next()) else { return None };
    let short = a.chars().count().min(b.chars().count());
    if short < WORD || first_of(a) != first_of(b) || a.chars().chain(b.chars()).any(|c| !c.is_alphabetic()) {
        return None;
    }
    let most = if short < LONG { 1 } else { 2 };
    Some(distance(a, b)).filter(|slips| *slips <= most)
}

fn first_of(text: &str) -> char {
    text.chars().next().unwrap_or_default()
}

/// Smallest number of insertions, deletions, changes and swaps of neighbours that turn one text into the other.
pub fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for i in 0..a.len() {
        row[0] = i + 1;
        for j in 0..b.len() {
            let change = last[j] + usize::from(a[i] != b[j]);
            row[j + 1] = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, slips};

    #[test]
    fn slips_of_the_pen_are_told_from_other_names() {
        for (asked, there, count) in [
            ("order-servcie", "order-service", 1),
            ("order-sevice", "order-service", 1),
            ("oder-service", "order-service", 0),
            ("orders-service", "order-service", 1),
            ("gatewayy.yaml", "gateway.yaml", 1),
            ("applicaton-dev.yaml", "application-dev.yaml", 1),
            ("aplicaton-dev.yaml", "application-dev.yaml", 2),
            ("orderservice", "order-service", 1),
            ("com.acme.PaymentServcie", "com.acme.PaymentService", 1),
        ] {
            // A word of four letters is too short to be sure.
            assert_eq!(slips(asked, there), Some(count).filter(|n| *n > 0), "{asked} {there}");
        }
        for (one, other) in [
            ("app-dev.yaml", "app-pre.yaml"),
            ("order-v1", "order-v2"),
            ("order-service1", "order-service2"),
            ("shard10-x", "shard11-x"),
            ("internal-api", "external-api"),
            ("user", "users"),
            ("payment", "shipment"),
            ("Order-Service", "order-service"),
            ("a", "b"),
            ("", "x"),
        ] {
            assert_eq!(slips(one, other), None, "{one} {other}");
        }
    }

    #[test]
    fn distance_counts_a_swap_once() {
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
