//! Properties files, and what settings come to.

use nacre_server::properties::{LoadOptions, explain, load, members, parse};

/// A file: what was read is written and read back.
pub fn file(data: &[u8]) {
    let Ok(text) = parse::parse_bytes(data) else { return };
    let mut line = 0;
    for entry in &text.entries {
        assert!(entry.line > line, "two keys on one line");
        line = entry.line;
    }
    let written: String = text.entries.iter().map(|entry| parse::write(&entry.key, &entry.value) + "\n").collect();
    let again = parse::parse(&written).expect("what we write can be read");
    let pairs = |entries: &[parse::Entry]| -> Vec<(String, String)> {
        entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    };
    assert_eq!(pairs(&again), pairs(&text.entries));
}

/// The lines of a file as arguments and as variables of the environment: everything is checked at once, and what passes
/// can be used.
pub fn settings(data: &[u8]) {
    let Ok(text) = parse::parse_bytes(data) else { return };
    let all: Vec<(String, String)> = text.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    let (overrides, environment): (Vec<_>, Vec<_>) = all.into_iter().partition(|(key, _)| key.contains('.'));
    // No such directory: nothing of the machine takes part.
    let home = Some("/nonexistent/nacre".into());
    let options = LoadOptions { home, config: None, overrides, environment };
    let explained = explain(&options);
    let _ = (explained.text(), explained.json());
    match load(&options) {
        Ok(properties) => {
            assert!(explained.problems().is_empty());
            let _ = (properties.naming(), properties.journal(), properties.config_rules(), properties.config_fuzzy());
            let _ = (properties.write_road(), properties.set_count(), properties.explain());
            let _ = nacre_server::grpc::Options::of(&properties);
        }
        Err(error) => {
            assert_eq!(error.problems, explained.problems());
            assert!(!error.to_string().is_empty());
        }
    }
}

/// `cluster.conf`: what was read is written and read back, and every remark names a line.
pub fn cluster_conf(data: &[u8]) {
    let text = crate::text(data);
    let read = members::parse(&text, 8848);
    let lines = text.split('\n').count();
    assert!(
        read.remarks.iter().all(|remark| (1..=lines).contains(&(remark.line as usize)) && remark.text.len() < 1_000)
    );
    let written: Vec<String> = read.members.iter().map(ToString::to_string).collect();
    let again = members::parse(&written.join("\n"), 1);
    assert_eq!(again, members::Members { members: read.members, remarks: Vec::new() });
}
