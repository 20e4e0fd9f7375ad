//! Who beats, and in which rhythm: what diagnosis asks of publications that HTTP clients keep alive.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use nacre_model::{Instance, Now, ServiceKey};

use crate::{
    ClientId, Naming,
    client::{BEATEN, Client, HEALTHY, MISMATCH, Publication},
    client_id::Address,
};

/// The last eight gaps between beats, and how many beats came since the registration. Eight 16-bit numbers of 10 ms, the
/// newest in the last place: two beats of one instance at the same moment may lose one of them.
#[derive(Debug, Default)]
pub(crate) struct Rhythm {
    pairs: [AtomicU32; 4],
    beats: AtomicU32,
}

/// Unit of a kept gap.
const UNIT_MS: u64 = 10;

impl Rhythm {
    /// A beat came `gap` milliseconds after the one before (or after the registration).
    pub fn note(&self, gap: u64) {
        let mut carried = (gap / UNIT_MS).clamp(1, u64::from(u16::MAX)) as u32;
        for pair in self.pairs.iter().rev() {
            let held = pair.load(Relaxed);
            pair.store(held << 16 | carried, Relaxed);
            carried = held >> 16;
        }
        self.beats.fetch_add(1, Relaxed);
    }

    /// It was registered again: the gaps before still tell something, the count begins anew.
    pub fn restart(&self) {
        self.beats.store(0, Relaxed);
    }

    pub fn beats(&self) -> u32 {
        self.beats.load(Relaxed)
    }

    /// Milliseconds, oldest first.
    pub fn gaps(&self) -> Vec<u32> {
        let pairs = self.pairs.iter().map(|pair| pair.load(Relaxed));
        let parts = pairs.flat_map(|pair| [pair >> 16, pair & 0xffff]);
        parts.filter(|part| *part != 0).map(|part| part * UNIT_MS as u32).collect()
    }
}

/// One instance that is kept alive by beats.
#[derive(Clone, Debug)]
pub struct Beater {
    pub service: ServiceKey,
    pub instance: Arc<Instance>,
    pub client: ClientId,
    /// Since the last beat, or the registration.
    pub silent_ms: u64,
    /// Since the registration.
    pub beats: u32,
    /// The last gaps, milliseconds, oldest first.
    pub gaps: Vec<u32>,
    /// In force, operator's word and switches counted in.
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub delete_ms: u64,
    /// `enableClientBeat`: silence does not matter.
    pub unchecked: bool,
    /// Its last full beat contradicted its parameters or the registration.
    pub mismatch: bool,
    /// Services that this `ip:port` publishes.
    pub services: usize,
}

impl Beater {
    /// Two intervals without a beat, and then some.
    pub fn is_late(&self) -> bool {
        self.silent_ms > late_after(self.interval_ms)
    }
}

fn late_after(interval_ms: u64) -> u64 {
    2 * interval_ms + 500
}

/// Who beats on some addresses, and how many beat at all.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Publications that have beaten: those in time, and those that are late by more than an interval.
    pub steady: usize,
    pub late: usize,
    /// Of the addresses asked for.
    pub hosts: HashMap<Arc<str>, Host>,
    /// In time, by the first three numbers of an IPv4 address asked for.
    pub steady_in: HashMap<Box<str>, usize>,
}

/// The beating publications of one address.
#[derive(Clone, Debug, Default)]
pub struct Host {
    pub steady: usize,
    pub late: usize,
    /// Ports, services and silence (ms) of some that are in time.
    pub examples: Vec<(i32, ServiceKey, u64)>,
    /// `ip:port` clients.
    pub clients: usize,
    pub publications: usize,
}

/// Examples kept of one address.
const EXAMPLES: usize = 8;

/// The first three numbers of an IPv4 address.
pub(crate) fn subnet(ip: &str) -> Option<&str> {
    let _: std::net::Ipv4Addr = ip.parse().ok()?;
    ip.rsplit_once('.').map(|(subnet, _)| subnet)
}

impl Naming {
    /// The publication of `ip:port` in a service, if its client is kept alive by beats.
    pub fn beater(&self, service: &ServiceKey, ip: &str, port: i32, now: Now) -> Option<Beater> {
        let client = self.clients.get(&Address { ip, port, ephemeral: true })?;
        let (publication, services) = {
            let links = client.links.lock();
            (links.publications.get(service).cloned()?, links.publications.len())
        };
        self.beater_of(&publication, services, now)
    }

    /// All publications of `ip:port`, at most `most`.
    pub fn beaters(&self, ip: &str, port: i32, most: usize, now: Now) -> Vec<Beater> {
        let Some(client) = self.clients.get(&Address { ip, port, ephemeral: true }) else { return Vec::new() };
        let publications = client.links.lock().publications.items();
        let services = publications.len();
        publications.iter().take(most).filter_map(|p| self.beater_of(p, services, now)).collect()
    }

    /// Whether a persistent instance has this address in the service.
    pub fn is_persistent(&self, service: &ServiceKey, ip: &str, port: i32) -> bool {
        let id = ClientId::persistent(ip, port);
        self.find(service).is_some_and(|slot| slot.state.lock().publishers.contains(&id))
    }

    /// Whether a service holds ephemeral instances; `None` when there is no such service.
    pub fn is_ephemeral_service(&self, service: &ServiceKey) -> Option<bool> {
        self.find(service)?.state.lock().registered.map(|registered| registered.ephemeral)
    }

    fn beater_of(&self, publication: &Arc<Publication>, services: usize, now: Now) -> Option<Beater> {
        let instance = publication.entry.lock().instances.first().cloned()?;
        let rules = publication.slot.state.lock().rules(&instance);
        Some(Beater {
            service: publication.slot.key.clone(),
            client: publication.client.id.clone(),
            silent_ms: now.mono.saturating_sub(publication.last_beat.load(Relaxed)),
            beats: publication.rhythm.beats(),
            gaps: publication.rhythm.gaps(),
            interval_ms: rules.interval.unwrap_or_else(|| self.switch_interval()),
            timeout_ms: rules.timeout,
            delete_ms: rules.delete,
            unchecked: rules.unchecked,
            mismatch: publication.has(MISMATCH),
            services,
            instance,
        })
    }

    pub(crate) fn switch_interval(&self) -> u64 {
        self.switches.load().client_beat_interval.max(0) as u64
    }

    /// Walks all clients: to be asked seldom, and only when something is silent.
    pub fn census(&self, hosts: &HashSet<Arc<str>>, now: Now) -> Census {
        let mut census = Census::default();
        let subnets: HashSet<&str> = hosts.iter().filter_map(|ip| subnet(ip)).collect();
        for client in self.clients.all() {
            let ClientId::IpPort { ip, port, ephemeral: true } = &client.id else { continue };
            let wanted = hosts.contains(ip);
            let counted = self.counted(&client, now, &mut census);
            if counted.0 > 0
                && let Some(subnet) = subnet(ip).filter(|subnet| subnets.contains(subnet))
            {
                *census.steady_in.entry(subnet.into()).or_default() += counted.0;
            }
            if wanted {
                let host = census.hosts.entry(Arc::clone(ip)).or_default();
                host.clients += 1;
                host.publications += counted.2;
                host.steady += counted.0;
                host.late += counted.1;
                if counted.0 > 0 && host.examples.len() < EXAMPLES {
                    let publications = client.links.lock().publications.items();
                    let steady = publications.iter().filter_map(|p| Some((p, self.is_steady(p, now)?)));
                    let found = steady.filter(|(_, steady)| *steady).map(|(p, _)| {
                        let silent = now.mono.saturating_sub(p.last_beat.load(Relaxed));
                        (*port, p.slot.key.clone(), silent)
                    });
                    let room = EXAMPLES - host.examples.len();
                    host.examples.extend(found.take(room));
                }
            }
        }
        census
    }

    /// (steady, late, all) of a client, counted in.
    fn counted(&self, client: &Client, now: Now, census: &mut Census) -> (usize, usize, usize) {
        let publications = client.links.lock().publications.items();
        let (mut steady, mut late) = (0, 0);
        for publication in &publications {
            match self.is_steady(publication, now) {
                Some(true) => steady += 1,
                Some(false) => late += 1,
                None => {}
            }
        }
        census.steady += steady;
        census.late += late;
        (steady, late, publications.len())
    }

    /// `None` of those that never beat.
    fn is_steady(&self, publication: &Publication, now: Now) -> Option<bool> {
        if !publication.has(BEATEN) {
            return None;
        }
        let interval = match publication.interval.load(Relaxed) {
            0 => self.switch_interval(),
            interval => u64::from(interval),
        };
        let silent = now.mono.saturating_sub(publication.last_beat.load(Relaxed));
        Some(publication.has(HEALTHY) && silent <= late_after(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_keeps_the_last_eight_gaps() {
        let rhythm = Rhythm::default();
        assert_eq!((rhythm.beats(), rhythm.gaps()), (0, vec![]));
        for gap in [5_004, 5_000, 60_000] {
            rhythm.note(gap);
        }
        assert_eq!((rhythm.beats(), rhythm.gaps()), (3, vec![5_000, 5_000, 60_000]));
        rhythm.restart();
        for gap in 1..=7 {
            rhythm.note(gap * 1_000);
        }
        assert_eq!((rhythm.beats(), rhythm.gaps()[0]), (7, 60_000), "gaps go on over a registration");
        rhythm.note(10_000_000);
        assert_eq!(rhythm.gaps(), [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 655_350], "long ones are capped");
    }
}
