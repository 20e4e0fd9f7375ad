//! Unified differences of two texts, by lines (Myers' algorithm).

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;
/// Differing lines beyond which the middle is shown as removed and added as a whole.
const EFFORT: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Header,
    Hunk,
    Same,
    Removed,
    Added,
}

/// One line of the result, with its `-`, `+` or blank in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: Kind,
    pub text: String,
}

/// Lines of `diff -u`; none when the texts are equal. Ends of lines count, and so does a missing one at the end.
pub fn unified(old_name: &str, old: &str, new_name: &str, new: &str) -> Vec<Line> {
    if old == new {
        return Vec::new();
    }
    let a: Vec<&str> = old.split_inclusive('\n').collect();
    let b: Vec<&str> = new.split_inclusive('\n').collect();
    let steps = steps(&a, &b);
    let mut out = vec![
        Line { kind: Kind::Header, text: format!("--- {old_name}") },
        Line { kind: Kind::Header, text: format!("+++ {new_name}") },
    ];
    for hunk in hunks(&steps) {
        write_hunk(&steps[hunk.0..hunk.1], &a, &b, &mut out);
    }
    out
}

/// A line of the old text, of the new one, or of both; numbers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Same(usize, usize),
    Removed(usize),
    Added(usize),
}

fn steps(a: &[&str], b: &[&str]) -> Vec<Step> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (a_mid, b_mid) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let mut out: Vec<Step> = (0..head).map(|n| Step::Same(n, n)).collect();
    match shortest(a_mid, b_mid) {
        Some(middle) => out.extend(middle.into_iter().map(|step| match step {
            Step::Same(x, y) => Step::Same(x + head, y + head),
            Step::Removed(x) => Step::Removed(x + head),
            Step::Added(y) => Step::Added(y + head),
        })),
        None => {
            out.extend((0..a_mid.len()).map(|n| Step::Removed(n + head)));
            out.extend((0..b_mid.len()).map(|n| Step::Added(n + head)));
        }
    }
    out.extend((0..tail).map(|n| Step::Same(a.len() - tail + n, b.len() - tail + n)));
    out
}

/// The shortest way from `a` to `b`, or `None` when it takes more than [`EFFORT`] steps.
fn shortest(a: &[&str], b: &[&str]) -> Option<Vec<Step>> {
    let (n, m) = (a.len(), b.len());
    let max = (n + m).min(EFFORT);
    let at = |k: isize| (k + max as isize + 1) as usize;
    let mut furthest = vec![0usize; 2 * max + 3];
    let mut trace: Vec<Vec<usize>> = Vec::new();
    for d in 0..=max as isize {
        // Only the diagonals in reach are kept: row d holds those from -d-1 to d+1.
        trace.push(furthest[at(-d - 1)..=at(d + 1)].to_vec());
        for k in (-d..=d).step_by(2) {
            let down = k == -d || (k != d && furthest[at(k - 1)] < furthest[at(k + 1)]);
            let mut x = if down { furthest[at(k + 1)] } else { furthest[at(k - 1)] + 1 };
            let mut y = (x as isize - k) as usize;
            while x < n && y < m && a[x] == b[y] {
                x += 1;
                y += 1;
            }
            furthest[at(k)] = x;
            if x >= n && y >= m {
                return Some(walk_back(&trace, n, m));
            }
        }
    }
    None
}

fn walk_back(trace: &[Vec<usize>], n: usize, m: usize) -> Vec<Step> {
    let (mut x, mut y) = (n, m);
    let mut out = Vec::new();
    for (d, row) in trace.iter().enumerate().rev() {
        let d = d as isize;
        let of = |k: isize| row[(k + d + 1) as usize];
        let k = x as isize - y as isize;
        let down = k == -d || (k != d && of(k - 1) < of(k + 1));
        let previous = if down { k + 1 } else { k - 1 };
        let from_x = if d == 0 { 0 } else { of(previous) };
        let from_y = if d == 0 { 0 } else { (from_x as isize - previous) as usize };
        while x > from_x && y > from_y {
            x -= 1;
            y -= 1;
            out.push(Step::Same(x, y));
        }
        if d > 0 {
            out.push(if down { Step::Added(from_y) } else { Step::Removed(from_x) });
            (x, y) = (from_x, from_y);
        }
    }
    out.reverse();
    out
}

/// Ranges of steps that hold changes with their context.
fn hunks(steps: &[Step]) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = Vec::new();
    for (n, _) in steps.iter().enumerate().filter(|(_, step)| !matches!(step, Step::Same(..))) {
        let (from, to) = (n.saturating_sub(CONTEXT), (n + CONTEXT + 1).min(steps.len()));
        match out.last_mut() {
            Some(last) if from <= last.1 => last.1 = to,
            _ => out.push((from, to)),
        }
    }
    out
}

fn write_hunk(steps: &[Step], a: &[&str], b: &[&str], out: &mut Vec<Line>) {
    let old: Vec<usize> = steps.iter().filter_map(|step| old_line(*step)).collect();
    let new: Vec<usize> = steps.iter().filter_map(|step| new_line(*step)).collect();
    // An empty side is numbered by the line before it, as diff does.
    let range = |lines: &[usize]| match lines {
        [] => "0,0".to_owned(),
        [only] => format!("{}", only + 1),
        [first, ..] => format!("{},{}", first + 1, lines.len()),
    };
    out.push(Line { kind: Kind::Hunk, text: format!("@@ -{} +{} @@", range(&old), range(&new)) });
    for step in steps {
        let (kind, sign, line) = match *step {
            Step::Same(x, _) => (Kind::Same, ' ', a[x]),
            Step::Removed(x) => (Kind::Removed, '-', a[x]),
            Step::Added(y) => (Kind::Added, '+', b[y]),
        };
        match line.strip_suffix('\n') {
            Some(line) => out.push(Line { kind, text: format!("{sign}{line}") }),
            None => {
                out.push(Line { kind, text: format!("{sign}{line}") });
                out.push(Line { kind: Kind::Hunk, text: "\\ No newline at end of file".to_owned() });
            }
        }
    }
}

fn old_line(step: Step) -> Option<usize> {
    match step {
        Step::Same(x, _) | Step::Removed(x) => Some(x),
        Step::Added(_) => None,
    }
}

fn new_line(step: Step) -> Option<usize> {
    match step {
        Step::Same(_, y) | Step::Added(y) => Some(y),
        Step::Removed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(old: &str, new: &str) -> String {
        unified("a", old, "b", new).iter().map(|line| format!("{}\n", line.text)).collect()
    }

    #[test]
    fn a_change_is_shown_with_its_neighbours() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
        assert_eq!(text(old, new), "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    }

    #[test]
    fn far_changes_are_hunks_of_their_own() {
        let old: String = (0..30).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n3\n", "\nx\n").replace("\n25\n", "\n");
        let hunks = text(&old, &new).lines().filter(|line| line.starts_with("@@")).count();
        assert_eq!(hunks, 2);
    }

    #[test]
    fn a_missing_last_line_end_is_a_difference() {
        assert_eq!(text("a\n", "a"), "--- a\n+++ b\n@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n");
        assert_eq!(text("", "a\n"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(text("same", "same"), "");
    }

    #[test]
    fn texts_without_anything_in_common_are_answered_at_once() {
        let old: String = (0..20_000).map(|n| format!("a{n}\n")).collect();
        let new: String = (0..20_000).map(|n| format!("b{n}\n")).collect();
        assert_eq!(unified("a", &old, "b", &new).len(), 40_003);
    }

    proptest! {
        #[test]
        fn steps_rebuild_both_texts(old in "[ab\n]{0,40}", new in "[abc\n]{0,40}") {
            let a: Vec<&str> = old.split_inclusive('\n').collect();
            let b: Vec<&str> = new.split_inclusive('\n').collect();
            let steps = steps(&a, &b);
            let rebuilt_old: String = steps.iter().filter_map(|s| match *s {
                Step::Same(x, y) => { assert_eq!(a[x], b[y]); Some(a[x]) }
                Step::Removed(x) => Some(a[x]),
                Step::Added(_) => None,
            }).collect();
            let rebuilt_new: String = steps.iter().filter_map(|s| match *s {
                Step::Same(_, y) | Step::Added(y) => Some(b[y]),
                Step::Removed(_) => None,
            }).collect();
            prop_assert_eq!(rebuilt_old, old);
            prop_assert_eq!(rebuilt_new, new);
        }
    }
}
