//! A scene of made-up parts, for the tests of rules. `Stage::look` runs one rule and fills its page's texts, so that a
//! figure the page names and the rule does not give fails the test.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use nacre_config::Configs;
use nacre_journal::Record;
use nacre_model::{Cause, ConfigKey, Event, Now, Subject};
use nacre_naming::Naming;

use crate::{
    Finding, Memory, Scene, Sightings,
    engine::Engine,
    rules,
    scene::{ConnectionFacts, Desk, Gauges, ListenerFacts, Server},
};

/// Times of tests begin here.
pub const START: Now = Now { mono: 10_000_000, wall: 1_700_000_000_000 };

pub struct Stage {
    pub now: Now,
    pub memory: Memory,
    pub sightings: Sightings,
    pub naming: Naming,
    pub configs: Configs,
    pub server: FakeServer,
    pub desk: Desk,
    engine: Engine,
    seq: u64,
}

#[derive(Default)]
pub struct FakeServer {
    pub uptime_ms: u64,
    pub properties: BTreeMap<String, String>,
    pub connections: Vec<ConnectionFacts>,
    pub holding: Vec<(ConfigKey, ListenerFacts)>,
    pub told_late: Vec<(ConfigKey, i64)>,
    pub unwritable: Option<String>,
    pub notes: Vec<(String, String, String)>,
    pub listens_on: Vec<std::net::IpAddr>,
    pub members: Vec<String>,
    pub gauges: Gauges,
}

impl Server for FakeServer {
    fn main_port(&self) -> u16 {
        8848
    }

    fn grpc_port(&self) -> u16 {
        9848
    }

    fn uptime_ms(&self) -> u64 {
        self.uptime_ms
    }

    fn property(&self, name: &str) -> String {
        self.properties.get(name).cloned().unwrap_or_default()
    }

    fn connection(&self, id: &str) -> Option<ConnectionFacts> {
        self.connections.iter().find(|connection| connection.id == id).cloned()
    }

    fn connections_among(&self, ips: &HashSet<&str>) -> Vec<ConnectionFacts> {
        let of = |c: &&ConnectionFacts| ips.contains(&*c.client_ip) || ips.contains(&*c.address);
        self.connections.iter().filter(of).cloned().collect()
    }

    fn unwritable(&self) -> Option<String> {
        self.unwritable.clone()
    }

    fn setting_notes(&self) -> Vec<(String, String, String)> {
        self.notes.clone()
    }

    fn setting_origin(&self, name: &str) -> Option<String> {
        self.properties.contains_key(name).then(|| "application.properties:1".to_owned())
    }

    fn listens_on(&self) -> Vec<std::net::IpAddr> {
        self.listens_on.clone()
    }

    fn members(&self) -> Vec<String> {
        self.members.clone()
    }

    fn gauges(&self) -> Gauges {
        self.gauges.clone()
    }

    fn told_late(&self) -> Vec<(ConfigKey, i64)> {
        self.told_late.clone()
    }

    fn listeners(&self, key: &ConfigKey, most: usize) -> Vec<ListenerFacts> {
        self.holding.iter().filter(|(listened, _)| listened == key).take(most).map(|(_, facts)| facts.clone()).collect()
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            now: START,
            memory: Memory::default(),
            sightings: Sightings::default(),
            naming: Naming::default(),
            configs: Configs::default(),
            server: FakeServer { uptime_ms: 3_600_000, ..FakeServer::default() },
            desk: Desk::default(),
            engine: Engine::default(),
            seq: 0,
        }
    }
}

impl Stage {
    /// Time passes.
    pub fn wait(&mut self, ms: u64) -> &mut Self {
        self.now = self.now.plus(ms);
        self
    }

    /// Something happens now.
    pub fn event(&mut self, subject: Subject, cause: Cause) -> &mut Self {
        let event = Event::new(self.now, subject, cause);
        self.record(event)
    }

    /// What a core answered.
    pub fn record(&mut self, event: Event) -> &mut Self {
        self.seq += 1;
        self.memory.note(&Arc::new(Record { seq: self.seq, event }));
        self
    }

    /// Everything a call of a core did.
    pub fn records(&mut self, effects: nacre_naming::Effects) -> &mut Self {
        for event in effects.events {
            self.record(event);
        }
        self
    }

    /// All rules look; what holds now, in English.
    pub fn findings(&mut self) -> Vec<Arc<Finding>> {
        let scene = Scene {
            now: self.now,
            memory: &self.memory,
            sightings: &self.sightings,
            naming: &self.naming,
            configs: &self.configs,
            server: &self.server,
            desk: &self.desk,
            told_ms: 60_000,
        };
        self.engine.round(rules::all(), &scene);
        for found in self.engine.open() {
            let zh = &found.zh;
            let english = english_in(&zh.cause).filter(|_| !QUOTING.contains(&zh.code.as_str()));
            assert!(english.is_none(), "{}: {english:?} in {}", zh.code, zh.cause);
            for line in zh.evidence.iter().map(|seen| &seen.text).chain(&zh.ruled_out) {
                // What somebody said is quoted as it was said.
                let own: String =
                    line.split('“').map(|part| part.split_once('”').map_or(part, |(_, own)| own)).collect();
                assert!(english_in(&own).is_none() && !own.is_ascii(), "{}: English in {line}", zh.code);
            }
        }
        self.engine.open().iter().map(|found| Arc::clone(&found.en)).collect()
    }

    /// The one finding that holds now.
    pub fn only(&mut self) -> Arc<Finding> {
        let mut all = self.findings();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    pub fn codes(&mut self) -> Vec<String> {
        self.findings().iter().map(|finding| finding.code.clone()).collect()
    }
}

/// Findings that quote what a machine, a library or this server's own answer said: as it was said.
const QUOTING: [&str; 12] = [
    "CONFIG-REFUSED",
    "CONNECTION-NEVER-SET-UP",
    "DATABASE-REFUSES-WRITES",
    "DISK-FAILED",
    "DISK-FULL",
    "DISK-READ-ONLY",
    "DISK-SLOW",
    "PARAMETER-REFUSED",
    "PROPERTY-WITHOUT-EFFECT",
    "SETTING-REFUSED",
    "WORKER-RESTARTED",
    "WRITES-RECOVERED",
];

/// Words in a row that make an English sentence of a Chinese text.
fn english_in(text: &str) -> Option<String> {
    const SENTENCE: usize = 4;
    let mut run: Vec<&str> = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || !c.is_ascii()) {
        let plain = word.trim_matches([',', ';', '.', ':', '(', ')']);
        if plain.len() > 1 && plain.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'\'') {
            run.push(word);
        } else if run.len() >= SENTENCE {
            break;
        } else if !word.is_empty() {
            run.clear();
        }
    }
    (run.len() >= SENTENCE).then(|| run.join(" "))
}
