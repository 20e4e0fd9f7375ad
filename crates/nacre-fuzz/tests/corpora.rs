//! The committed corpora, replayed with stable Rust: what fuzzing reached once is reached at each test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use nacre_fuzz::{TARGETS, Target};

/// Neighbours tried of each input, and the time for all of them, which decides on slow machines only.
const ROUNDS: usize = 10;
const NEIGHBOURS_WITHIN: Duration = Duration::from_secs(5);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Names of the files in a folder, without their ends.
fn stems(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// One input of a line; see `fuzz/corpus.py`.
fn unescape(line: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        bytes.push(match c {
            '\\' => match rest.next().unwrap() {
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                '\\' => b'\\',
                'x' => u8::from_str_radix(&rest.by_ref().take(2).collect::<String>(), 16).unwrap(),
                other => panic!("no escape: {other}"),
            },
            c => u8::try_from(c).unwrap(),
        });
    }
    bytes
}

/// Panics of tasks and workers: they do not reach the test by themselves.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn replay(target: &Target) {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let name = std::thread::current().name().map(str::to_owned);
            if !TARGETS.iter().any(|target| name.as_deref() == Some(target.name)) {
                PANICS.lock().unwrap().push(panic.to_string());
            }
            before(panic);
        }));
    });
    let path = folder().join("corpus").join(target.name).with_extension("txt");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let inputs: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(!inputs.is_empty(), "{} is empty", path.display());
    (target.run)(b"");
    for line in &inputs {
        let data = unescape(line);
        feed(target, &data);
    }
    // Neighbours of what is known: the same ones each time, so that a failure can be repeated.
    let mut state = 1;
    let begun = Instant::now();
    'rounds: for _ in 0..ROUNDS {
        for line in &inputs {
            if begun.elapsed() > NEIGHBOURS_WITHIN {
                break 'rounds;
            }
            feed(target, &neighbour(unescape(line), &mut state));
        }
    }
    nacre_fuzz::tidy(target.name);
}

fn feed(target: &Target, data: &[u8]) {
    let ended = std::panic::catch_unwind(|| (target.run)(data)).is_ok();
    // The lock is given back before this thread may panic.
    let panics = std::mem::take(&mut *PANICS.lock().unwrap());
    assert!(ended && panics.is_empty(), "{} on {}: {panics:?}", target.name, data.escape_ascii());
}

/// Signs that mean something to some parser.
const SIGNS: &[u8] = b"{}[]\",:=&%+\\\n\0#*@?\xff";

/// The input with a few bytes changed, taken out, doubled or cut.
fn neighbour(mut data: Vec<u8>, state: &mut u64) -> Vec<u8> {
    let mut roll = |bound: usize| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) as usize % bound.max(1)
    };
    for _ in 0..=roll(3) {
        let at = roll(data.len());
        match roll(6) {
            0 if !data.is_empty() => data[at] = roll(256) as u8,
            1 if !data.is_empty() => data[at] ^= 1 << roll(8),
            2 if !data.is_empty() => drop(data.drain(at..(at + 1 + roll(8)).min(data.len()))),
            3 => data.insert(at, SIGNS[roll(SIGNS.len())]),
            4 => {
                let again = data[at..(at + roll(32)).min(data.len())].to_vec();
                data.splice(at..at, again);
            }
            _ => data.truncate(at),
        }
    }
    data
}

macro_rules! replayed {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                replay(TARGETS.iter().find(|target| target.name == stringify!($name)).unwrap());
            }
        )*

        #[test]
        fn every_target_is_replayed_and_has_a_binary() {
            let replayed = [$(stringify!($name)),*];
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, replayed);
            let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
            for Target { name, path, .. } in TARGETS {
                assert!(manifest.contains(&format!("name = \"{name}\"\n")), "fuzz/Cargo.toml has no {name}");
                let binary = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
                let call = format!("libfuzzer_sys::fuzz_target!(|data: &[u8]| {path}(data));");
                assert_eq!(binary.trim_end(), format!("#![no_main]\n\n{call}"), "{name}");
            }
            // Nor is there a binary or a corpus of something that is no target any more: it would not compile, or not be read.
            let mut stems: Vec<String> = ["fuzz_targets", "corpus"].iter().flat_map(|dir| stems(&folder().join(dir))).collect();
            stems.extend(manifest.lines().filter_map(|line| Some(line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\"")?.to_owned())));
            stems.sort();
            let thrice: Vec<&str> = names.iter().flat_map(|name| [*name; 3]).collect();
            assert_eq!(stems, thrice, "each target has one binary, one corpus and one entry of fuzz/Cargo.toml");
        }
    };
}

replayed! {
    beat cluster_conf config_history fuzzy_watch grpc_body grpc_call grpc_payload health_checker http_form http_multipart http_request import_metadata import_zip lint listening_configs log_files metadata name_patterns naming_history probe_http probe_mysql properties search_patterns selector settings snapshot_file socket udp_ack
}
