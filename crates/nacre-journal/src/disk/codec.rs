//! What a frame holds: a head of fixed size, by which most frames are passed over unread, and a body in MessagePack with
//! named fields, so that later versions may add some.
//!
//! A body that this version does not know (a later kind of cause) is counted and skipped; nothing else depends on it.

use std::{collections::HashMap, fmt, sync::Arc};

use nacre_model::{
    Cause, ConfigKey, DEFAULT_GROUP, Event, Instance, Label, Metadata, PUBLIC, ServiceKey, Subject, key::ServiceNames,
};
use serde::{Deserialize, Deserializer, Serialize};

use super::pack;
use crate::Record;

pub const EVENT: u8 = 1;
/// All instances of one service at one moment, or a part of them.
pub const BASE: u8 = 2;
/// A process began to write here.
pub const OPENED: u8 = 3;
/// Every service that had instances has a base between `begun` and here.
pub const ROUND: u8 = 4;

/// The fixed part. Hashes are 0 where the event has no such subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub sort: u8,
    pub seq: u64,
    pub at: i64,
    pub kind: u32,
    pub service: u32,
    pub config: u32,
    pub instance: u32,
    pub client: u32,
}

const HEAD: usize = 37;

impl Head {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.sort);
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
        for hash in [self.kind, self.service, self.config, self.instance, self.client] {
            out.extend_from_slice(&hash.to_le_bytes());
        }
    }

    /// The head of a payload and the body behind it.
    pub fn read(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (head, body) = payload.split_at_checked(HEAD)?;
        let hash = |at: usize| Some(u32::from_le_bytes(head[at..at + 4].try_into().ok()?));
        let read = Self {
            sort: head[0],
            seq: u64::from_le_bytes(head[1..9].try_into().ok()?),
            at: i64::from_le_bytes(head[9..17].try_into().ok()?),
            kind: hash(17)?,
            service: hash(21)?,
            config: hash(25)?,
            instance: hash(29)?,
            client: hash(33)?,
        };
        Some((read, body))
    }

    fn of(record: &Record) -> Self {
        let subject = &record.event.subject;
        Self {
            sort: EVENT,
            seq: record.seq,
            at: record.event.at,
            kind: hash(record.event.cause.kind()),
            service: subject.service.as_ref().map_or(0, |service| hash(&service.name)),
            config: subject.config.as_ref().map_or(0, |config| hash(&config.data_id)),
            instance: subject.instance.as_ref().map_or(0, |instance| instance_hash(instance.head())),
            client: subject.client.as_ref().map_or(0, |client| client_hash(client.head())),
        }
    }
}

/// Never 0, the same in every version.
pub fn hash(text: &str) -> u32 {
    crc32fast::hash(text.as_bytes()).max(1)
}

/// Of the part that every way to name the instance has: `ip`, `ip:port` and `ip:port:cluster` begin alike.
pub fn instance_hash(text: &str) -> u32 {
    hash(text.split(':').next().unwrap_or(text))
}

pub fn client_hash(text: &str) -> u32 {
    hash(text.split([':', '#']).next().unwrap_or(text))
}

/// `ip, port, weight, flags, cluster, metadata`.
type SeenIn = (Arc<str>, i32, f64, u8, Arc<str>, Metadata);

const HEALTHY: u8 = 1;
const ENABLED: u8 = 2;
const EPHEMERAL: u8 = 4;

fn flags(instance: &Instance) -> u8 {
    let flag = |on: bool, flag: u8| if on { flag } else { 0 };
    flag(instance.healthy, HEALTHY) | flag(instance.enabled, ENABLED) | flag(instance.ephemeral, EPHEMERAL)
}

fn seen(ip: Arc<str>, port: i32, weight: f64, flags: u8, cluster: Arc<str>, metadata: Arc<Metadata>) -> Arc<Instance> {
    Arc::new(Instance {
        ip,
        port,
        weight,
        healthy: flags & HEALTHY != 0,
        enabled: flags & ENABLED != 0,
        ephemeral: flags & EPHEMERAL != 0,
        cluster,
        metadata,
        // Not kept: the address says who it is.
        instance_id: Default::default(),
    })
}

#[derive(Deserialize)]
struct BodyIn {
    n: Option<Arc<str>>,
    g: Option<Arc<str>>,
    s: Option<Arc<str>>,
    cn: Option<Arc<str>>,
    cg: Option<Arc<str>>,
    d: Option<Arc<str>>,
    i: Option<Name>,
    c: Option<Name>,
    #[serde(default)]
    r: i64,
    a: Option<SeenIn>,
    e: Cause,
}

/// A name, or that it is made of the address that was seen: `true` for an instance, for a client whether it is ephemeral.
enum Name {
    Text(Arc<str>),
    Seen(bool),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_bool<E>(self, seen: bool) -> Result<Name, E> {
                Ok(Name::Seen(seen))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name::Text(text.into()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl Name {
    fn instance(self, seen: Option<&Arc<Instance>>) -> Option<Label> {
        match self {
            Self::Text(text) => Some(text.into()),
            Self::Seen(_) => seen.map(Label::of_instance),
        }
    }

    fn client(self, seen: Option<&Arc<Instance>>) -> Option<Label> {
        match self {
            Self::Text(text) => Some(text.into()),
            Self::Seen(ephemeral) => seen.map(|seen| Label::client_of(seen, ephemeral)),
        }
    }
}

/// Writes the payload of an event; answers its head. What most events have is left out: the usual namespace and group, and
/// names that are made of the address that was seen. Keys are texts of one or two letters, as [`BodyIn`] says them.
pub fn write_event(record: &Record, out: &mut Vec<u8>) -> Option<Head> {
    let head = Head::of(record);
    head.write(out);
    let Event { subject, cause, shown, revision, .. } = &record.event;
    let map = out.len();
    out.push(0);
    let mut entries = 0;
    let mut key = |out: &mut Vec<u8>, key: &[u8]| {
        out.extend_from_slice(key);
        entries += 1;
    };
    if let Some(service) = &subject.service {
        if *service.namespace != *PUBLIC {
            key(out, b"\xA1n");
            pack::text(out, &service.namespace);
        }
        if *service.group != *DEFAULT_GROUP {
            key(out, b"\xA1g");
            pack::text(out, &service.group);
        }
        key(out, b"\xA1s");
        pack::text(out, &service.name);
    }
    if let Some(config) = &subject.config {
        if *config.namespace != *PUBLIC {
            key(out, b"\xA2cn");
            pack::text(out, &config.namespace);
        }
        if *config.group != *DEFAULT_GROUP {
            key(out, b"\xA2cg");
            pack::text(out, &config.group);
        }
        key(out, b"\xA1d");
        pack::text(out, &config.data_id);
    }
    let seen = shown.as_deref();
    if let Some(instance) = &subject.instance {
        key(out, b"\xA1i");
        let same = seen.is_some_and(|seen| instance.is_instance(&seen.ip, seen.port, &seen.cluster));
        if same { pack::flag(out, true) } else { pack::text(out, &instance.text()) }
    }
    if let Some(client) = &subject.client {
        key(out, b"\xA1c");
        match seen.and_then(|seen| client.is_client(&seen.ip, seen.port)) {
            Some(ephemeral) => pack::flag(out, ephemeral),
            None => pack::text(out, &client.text()),
        }
    }
    if *revision != 0 {
        key(out, b"\xA1r");
        pack::number(out, *revision);
    }
    if let Some(seen) = seen {
        key(out, b"\xA1a");
        pack::array(out, 6);
        pack::text(out, &seen.ip);
        pack::number(out, seen.port.into());
        pack::float(out, seen.weight);
        pack::number(out, flags(seen).into());
        pack::text(out, &seen.cluster);
        pack::metadata(out, &seen.metadata);
    }
    key(out, b"\xA1e");
    // A map of at most fifteen entries begins with one byte; there are ten names.
    out[map] = 0x80 | entries;
    rmp_serde::encode::write_named(out, &**cause).ok().map(|()| head)
}

/// The event behind a head; `None` when this version does not know it.
pub fn read_event(head: &Head, body: &[u8]) -> Option<Record> {
    let body: BodyIn = rmp_serde::from_slice(body).ok()?;
    let namespace = |given: Option<Arc<str>>| given.unwrap_or_else(|| PUBLIC.into());
    let group = |given: Option<Arc<str>>| given.unwrap_or_else(|| DEFAULT_GROUP.into());
    let service = body.s.map(|name| ServiceKey::of(namespace(body.n), group(body.g), name));
    let config = body.d.map(|data_id| ConfigKey::of(namespace(body.cn), group(body.cg), data_id));
    let shown = body
        .a
        .map(|(ip, port, weight, flags, cluster, metadata)| seen(ip, port, weight, flags, cluster, Arc::new(metadata)));
    let instance = body.i.and_then(|name| name.instance(shown.as_ref()));
    let client = body.c.and_then(|name| name.client(shown.as_ref()));
    let subject = Subject { service, config, instance, client };
    let event = Event { at: head.at, subject, cause: Arc::new(body.e), shown, revision: body.r };
    Some(Record { seq: head.seq, event })
}

/// The instances of a service at one moment, to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    pub service: &'a ServiceKey,
    /// `lastRefTime` of the list: events up to it are contained.
    pub revision: i64,
    pub instances: &'a [Arc<Instance>],
}

#[derive(Serialize)]
struct BaseOut<'a> {
    n: &'a str,
    g: &'a str,
    s: &'a str,
    r: i64,
    /// This part of so many.
    p: u32,
    q: u32,
    /// Metadata and clusters, by which instances name theirs.
    m: Vec<&'a Metadata>,
    k: Vec<&'a str>,
    i: Vec<(&'a str, i32, f64, u8, u32, u32)>,
}

#[derive(Deserialize)]
struct BaseIn {
    n: Arc<str>,
    g: Arc<str>,
    s: Arc<str>,
    r: i64,
    p: u32,
    q: u32,
    m: Vec<Arc<Metadata>>,
    k: Vec<Arc<str>>,
    i: Vec<(Arc<str>, i32, f64, u8, u32, u32)>,
}

/// A part of a list, read.
#[derive(Debug)]
pub struct Part {
    pub service: ServiceKey,
    pub revision: i64,
    pub part: u32,
    pub parts: u32,
    pub instances: Vec<Arc<Instance>>,
}

/// About so many bytes a part.
const PART_BYTES: usize = 128 * 1024;

/// The list cut into parts, each small enough for a frame (a single instance with huge metadata is left to its events).
pub fn parts<'a>(list: &Listed<'a>) -> Vec<&'a [Arc<Instance>]> {
    let mut cut = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    let mut last: *const Metadata = std::ptr::null();
    for (index, instance) in list.instances.iter().enumerate() {
        let metadata = Arc::as_ptr(&instance.metadata);
        if metadata != last {
            bytes += instance.metadata.iter().map(|(key, value)| key.len() + value.len() + 10).sum::<usize>();
            last = metadata;
        }
        bytes += instance.ip.len() + 32;
        if bytes >= PART_BYTES {
            cut.push(&list.instances[start..=index]);
            (start, bytes, last) = (index + 1, 0, std::ptr::null());
        }
    }
    if start < list.instances.len() {
        cut.push(&list.instances[start..]);
    }
    cut
}

/// Writes the payload of one part. `after`: events up to this number were recorded before the list was looked at.
pub fn write_base(
    list: &Listed<'_>,
    (part, parts): (usize, usize),
    instances: &[Arc<Instance>],
    after: u64,
    at: i64,
    out: &mut Vec<u8>,
) -> Option<Head> {
    let head = Head { sort: BASE, seq: after, at, service: hash(&list.service.name), ..Head::default() };
    head.write(out);
    let (mut metadata, mut clusters) = (Vec::new(), Vec::new());
    let (mut known, mut named) = (HashMap::new(), HashMap::new());
    let rows = instances.iter().map(|one| {
        let meta = *known.entry(Arc::as_ptr(&one.metadata)).or_insert_with(|| {
            metadata.push(&*one.metadata);
            metadata.len() as u32 - 1
        });
        let cluster = *named.entry(&*one.cluster).or_insert_with(|| {
            clusters.push(&*one.cluster);
            clusters.len() as u32 - 1
        });
        (&*one.ip, one.port, one.weight, flags(one), cluster, meta)
    });
    let rows = rows.collect();
    let ServiceNames { namespace, group, name } = &**list.service;
    let (p, q) = (part as u32, parts as u32);
    let body = BaseOut { n: namespace, g: group, s: name, r: list.revision, p, q, m: metadata, k: clusters, i: rows };
    rmp_serde::encode::write_named(out, &body).ok().map(|()| head)
}

pub fn read_base(body: &[u8]) -> Option<Part> {
    let body: BaseIn = rmp_serde::from_slice(body).ok()?;
    let mut instances = Vec::with_capacity(body.i.len());
    for (ip, port, weight, flags, cluster, metadata) in body.i {
        let cluster = body.k.get(cluster as usize)?.clone();
        let metadata = body.m.get(metadata as usize)?.clone();
        instances.push(seen(ip, port, weight, flags, cluster, metadata));
    }
    let service = ServiceKey::of(body.n, body.g, body.s);
    Some(Part { service, revision: body.r, part: body.p, parts: body.q, instances })
}

/// A process begins to write; `seq` is its first number.
pub fn write_opened(seq: u64, at: i64, out: &mut Vec<u8>) -> Head {
    let head = Head { sort: OPENED, seq, at, ..Head::default() };
    head.write(out);
    head
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Numbers up to this one were given before the first list was looked at, at `begun_at`.
    pub begun: u64,
    pub begun_at: i64,
    /// When the last list was written.
    pub at: i64,
    /// Bytes of all its lists.
    pub bytes: u64,
}

pub fn write_round(round: &Round, seq: u64, out: &mut Vec<u8>) -> Option<Head> {
    let head = Head { sort: ROUND, seq, at: round.at, ..Head::default() };
    head.write(out);
    rmp_serde::encode::write_named(out, round).ok().map(|()| head)
}

pub fn read_round(body: &[u8]) -> Option<Round> {
    rmp_serde::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use nacre_model::Now;

    use super::*;

    #[test]
    fn events_read_back_with_what_was_seen() {
        let mut instance = Instance::new("10.0.0.1", 80);
        instance.weight = f64::INFINITY;
        instance.enabled = false;
        instance.metadata = Arc::new([("zone".into(), "a".into())].into_iter().collect());
        let service = ServiceKey::new("dev", "G", "orders");
        let subject = Subject::service(&service).with_instance("10.0.0.1:80:DEFAULT").with_client("10.0.0.1:80#true");
        let cause = Cause::InstanceRegistered { how: "http".into(), replaced: true };
        let mut event = Event::new(Now { mono: 0, wall: 77 }, subject, cause).showing(Some(Arc::new(instance)));
        event.revision = 78;
        let record = Record { seq: 9, event };
        let mut out = Vec::new();
        let head = write_event(&record, &mut out).unwrap();
        let (read, body) = Head::read(&out).unwrap();
        assert_eq!(read, head);
        let again = read_event(&read, body).unwrap();
        assert_eq!((again.seq, &again.event), (9, &record.event));
        assert_eq!(head.instance, instance_hash("10.0.0.1"));
        assert_eq!(head.client, client_hash("10.0.0.1"));
    }

    #[test]
    fn names_made_of_the_address_that_was_seen_take_no_room_and_read_back() {
        let (ip, other): (Arc<str>, Arc<str>) = ("10.0.0.1".into(), "10.0.0.2".into());
        let seen = Arc::new(Instance::new(&ip, 80));
        let labels = |ip: &Arc<str>, ephemeral| {
            let subject = Subject { service: Some(ServiceKey::new("", DEFAULT_GROUP, "orders")), ..Subject::default() };
            let instance = Label::instance(ip, 80, &seen.cluster);
            subject.with_instance(instance).with_client(Label::client(ip, 80, ephemeral))
        };
        let mut sizes = Vec::new();
        for (subject, shown) in [
            (labels(&ip, true), Some(seen.clone())),
            (labels(&ip, false), Some(seen.clone())),
            (labels(&other, true), Some(seen.clone())),
            (labels(&ip, true), None),
            (Subject::config(&ConfigKey::new("dev", "G", "app.yaml")), None),
            (Subject::config(&ConfigKey::new("", DEFAULT_GROUP, "app.yaml")).with_client("10.0.0.9"), None),
            (Subject::default(), Some(seen.clone())),
        ] {
            let event = Event::new(Now { mono: 0, wall: 7 }, subject, Cause::BrakeOff).showing(shown);
            let record = Record { seq: 1, event };
            let mut out = Vec::new();
            write_event(&record, &mut out).unwrap();
            let (head, body) = Head::read(&out).unwrap();
            assert_eq!(read_event(&head, body).unwrap().event, record.event);
            sizes.push(out.len());
        }
        assert_eq!(sizes[0], sizes[1]);
        assert!(sizes[0] + 30 < sizes[2], "{sizes:?}");
    }

    /// As version 1 of the files has it: everything by its name.
    #[test]
    fn an_event_of_the_first_version_reads_as_it_was() {
        #[derive(Serialize)]
        struct First<'a> {
            n: &'a str,
            g: &'a str,
            s: &'a str,
            i: &'a str,
            c: &'a str,
            r: i64,
            a: (&'a str, i32, f64, u8, &'a str, Metadata),
            e: Cause,
        }
        let metadata: Metadata = [("zone".into(), "a".into())].into_iter().collect();
        let first = First {
            n: "public",
            g: "DEFAULT_GROUP",
            s: "orders",
            i: "10.0.0.1:80:DEFAULT",
            c: "10.0.0.1:80#true",
            r: 78,
            a: ("10.0.0.1", 80, 2.5, HEALTHY | EPHEMERAL, "DEFAULT", metadata.clone()),
            e: Cause::BrakeOff,
        };
        let body = rmp_serde::to_vec_named(&first).unwrap();
        let head = Head { sort: EVENT, seq: 9, at: 77, ..Head::default() };
        let read = read_event(&head, &body).unwrap();
        let mut instance = Instance::new("10.0.0.1", 80);
        (instance.weight, instance.enabled, instance.metadata) = (2.5, false, Arc::new(metadata));
        let service = ServiceKey::new("", DEFAULT_GROUP, "orders");
        let subject = Subject::service(&service).with_instance("10.0.0.1:80:DEFAULT").with_client("10.0.0.1:80#true");
        let mut event =
            Event::new(Now { mono: 0, wall: 77 }, subject, Cause::BrakeOff).showing(Some(Arc::new(instance)));
        event.revision = 78;
        assert_eq!((read.seq, read.event), (9, event));
    }

    #[test]
    fn a_kind_of_a_later_version_is_passed_over() {
        #[derive(Serialize)]
        struct Later {
            e: HashMap<&'static str, &'static str>,
            z: u8,
        }
        let body = rmp_serde::to_vec_named(&Later { e: [("kind", "dreamt")].into(), z: 1 }).unwrap();
        assert!(read_event(&Head::default(), &body).is_none());
        let known = rmp_serde::to_vec_named(&Later { e: [("kind", "brakeOff")].into(), z: 1 }).unwrap();
        assert_eq!(
            *read_event(&Head::default(), &known).unwrap().event.cause,
            Cause::BrakeOff,
            "more fields do no harm"
        );
    }

    #[test]
    fn long_lists_come_in_parts_that_make_the_list_again() {
        let service = ServiceKey::new("", "G", "orders");
        let shared: Arc<Metadata> = Arc::new([("a".into(), "b".into())].into_iter().collect());
        let instances: Vec<Arc<Instance>> = (0..10_000)
            .map(|n| {
                let mut one = Instance::new(&format!("10.0.{}.{}", n / 250, n % 250), 80);
                one.healthy = n % 3 > 0;
                one.cluster = if n % 2 > 0 { "A".into() } else { "B".into() };
                if n % 5 > 0 {
                    one.metadata = shared.clone();
                }
                Arc::new(one)
            })
            .collect();
        let list = Listed { service: &service, revision: 5, instances: &instances };
        let cut = parts(&list);
        assert!(cut.len() > 2);
        let mut again = Vec::new();
        for (number, part) in cut.iter().enumerate() {
            let mut out = Vec::new();
            write_base(&list, (number, cut.len()), part, 3, 4, &mut out).unwrap();
            assert!(out.len() < 2 * PART_BYTES, "{}", out.len());
            let (head, body) = Head::read(&out).unwrap();
            assert_eq!((head.sort, head.seq, head.at), (BASE, 3, 4));
            let part = read_base(body).unwrap();
            assert_eq!((part.part as usize, part.parts as usize, part.revision), (number, cut.len(), 5));
            again.extend(part.instances);
        }
        assert_eq!(again, instances);
    }
}
