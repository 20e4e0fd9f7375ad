//! Samples of a Prometheus text exposition, of any exporter.

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Sample {
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    /// Name and labels as PromQL writes them.
    pub fn series(&self) -> String {
        if self.labels.is_empty() {
            return self.name.clone();
        }
        let labels: Vec<String> = self.labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        format!("{}{{{}}}", self.name, labels.join(","))
    }
}

/// Most samples that are kept; a server has some thousands.
const MOST: usize = 200_000;

/// Comments and lines that cannot be read are passed over.
pub fn samples(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).take(MOST).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (name, rest) = match line.find(['{', ' ', '\t']) {
        Some(at) => line.split_at(at),
        None => return None,
    };
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let value = match rest.split_whitespace().next()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    (!name.is_empty()).then(|| Sample { name: name.to_owned(), labels, value })
}

/// Labels and their values.
type Labels = Vec<(String, String)>;

/// Labels up to the closing brace, and what follows it.
fn labels(mut text: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (label, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        loop {
            match chars.next()? {
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    c => value.push(c),
                },
                (at, '"') => {
                    text = &rest[at + 1..];
                    break;
                }
                (_, c) => value.push(c),
            }
        }
        labels.push((label.trim().to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_renderings_are_read() {
        let text = "# HELP a b\n# TYPE a gauge\na{module=\"naming\",name=\"ipCount\",} 5.0\na{x=\"q\\\"}\\n\"} 1e3 17\nb NaN\nc 2\n\nbad";
        let seen = samples(text);
        assert_eq!(seen.len(), 4);
        assert_eq!((seen[0].label("name"), seen[0].value), (Some("ipCount"), 5.0));
        assert_eq!((seen[1].label("x"), seen[1].value), (Some("q\"}\n"), 1000.0));
        assert!(seen[2].value.is_nan());
        assert_eq!(seen[0].series(), "a{module=\"naming\",name=\"ipCount\"}");
        assert_eq!(seen[3].series(), "c");
    }

    proptest! {
        #[test]
        fn any_exposition_is_read_without_a_panic(text in "(\\PC|[{}=\",\\\\ ]){0,80}") {
            let _ = samples(&text);
        }
    }
}
