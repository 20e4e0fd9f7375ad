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
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, all) = (a.len().min(b.len()), a.iter().chain(&b));
    if short < WORD || a[0] != b[0] || all.copied().any(|c| !c.is_alphabetic()) {
        return None;
    }
    let most = if short < LONG { 1 } else { 2 };
    Some(distance(&a, &b)).filter(|slips| *slips <= most)
}

fn first_of(text: &str) -> char {
    text.chars().next().unwrap_or_default()
}

/// Letters put in, left out, replaced, or two neighbours in the other order.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::slips;

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
}
