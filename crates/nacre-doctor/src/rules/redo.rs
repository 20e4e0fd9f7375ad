//! Connected, and not registered: clients that came back after their connection or this server ended, and did not
//! register again what they had. Whoever is only a stranger of the same address is told apart by version, application,
//! what it asks for, and time; where nothing tells, the finding says so and is worth knowing, no more.

use std::collections::{BTreeSet, HashMap, HashSet};

use nacre_journal::duration;
use nacre_model::{
    Cause, Event, ServiceKey,
    event::{Disconnect, Removal},
};

use super::connections::listed;
use crate::{
    About, Confidence, Hit, Hits, Scene, Severity,
    before::is_naming,
    line,
    memory::{HORIZON_MS, address_of},
    partings::{Interests, Parting},
    scene::ConnectionFacts,
};

/// SDKs register again within a few seconds of a reconnect; their redo looks every three.
const PATIENCE_MS: i64 = 10_000;
/// Whoever may be a process that has just started is left more time.
const MORE_PATIENCE_MS: i64 = 20_000;
/// A connection that comes this long after the end of another of the address is its successor.
const SUCCESSOR_MS: i64 = 60_000;
/// Back as soon as this, it is the same process: a new one takes longer to start.
const QUICK_MS: i64 = 5_000;
/// Connections of one address that are too many to tell who followed whom.
pub(super) const CROWD: usize = 12;
/// Ends as near to each other as this cannot be told apart by time.
const TOGETHER_MS: i64 = 2_000;

/// A registration: the service, and `ip:port:cluster`.
type Entry<'a> = (&'a ServiceKey, &'a str);

/// A naming connection that ended.
struct Gone<'a> {
    id: &'a str,
    at: i64,
    /// `None`: it ended with the process before this one.
    end: Option<&'a Event>,
    who: Option<Parting>,
    /// All that it published when it ended, with the events that took it away.
    had: Vec<(Entry<'a>, Option<&'a Event>)>,
}

/// A connection and the one whose place it took.
struct Return<'a> {
    new: &'a ConnectionFacts,
    gone: &'a Gone<'a>,
    /// Some of what it published came back over this very connection.
    partly: bool,
    /// There is no other that could be meant.
    sure: bool,
}

pub fn lost(scene: &Scene<'_>, hits: &mut Hits) {
    let mut all = parted(scene);
    all.extend(before(scene));
    if !all.iter().any(|gone| !gone.had.is_empty()) {
        return;
    }
    // Addresses by which a successor may be known: the socket's, and those of the instances (behind a proxy all have one).
    let mut places: HashMap<&str, Vec<&Gone<'_>>> = HashMap::new();
    for gone in &all {
        let mut ips: BTreeSet<&str> = gone.had.iter().filter_map(|((_, instance), _)| ip_of(instance)).collect();
        ips.insert(address_of(gone.id));
        ips.into_iter().for_each(|ip| places.entry(ip).or_default().push(gone));
    }
    places.retain(|_, gone| gone.iter().any(|gone| !gone.had.is_empty()));
    let wanted: HashSet<&str> = places.keys().copied().collect();
    let connections = scene.server.connections_among(&wanted);
    let mut at: HashMap<&str, Vec<&ConnectionFacts>> = HashMap::new();
    for connection in &connections {
        at.entry(place_of(connection)).or_default().push(connection);
    }
    for (place, here) in at {
        // Where so many come from, nobody can tell whose successor one of them is.
        let Some(gone) = places.get(place).filter(|_| here.len() <= CROWD) else { continue };
        look_at(scene, gone, here, hits);
    }
}

/// One address: those who left, and those who are there.
fn look_at<'a>(scene: &Scene<'_>, gone: &[&'a Gone<'a>], here: Vec<&'a ConnectionFacts>, hits: &mut Hits) {
    let here: Vec<(&ConnectionFacts, Vec<nacre_naming::Published>)> = here
        .into_iter()
        .filter(|connection| is_naming(&connection.module))
        .map(|connection| (connection, scene.naming.client_publications(&connection.id).unwrap_or_default()))
        .collect();
    let published: HashSet<(&ServiceKey, String)> = here
        .iter()
        .flat_map(|(_, entries)| entries.iter().map(|entry| (&entry.service, entry.instance.identity())))
        .collect();
    let is_back = |(service, instance): &Entry<'_>| published.contains(&(*service, (*instance).to_owned()));
    let state = |gone: &Gone<'_>| State {
        came_back: gone.had.iter().any(|(entry, _)| is_back(entry)),
        missing: (0..gone.had.len())
            .filter(|index| !is_back(&gone.had[*index].0) && is_missing(scene, gone, &gone.had[*index].0))
            .collect(),
    };
    let states: Vec<State> = gone.iter().map(|gone| state(gone)).collect();
    for ((gone, state), id) in gone.iter().zip(&states).zip(gone.iter().map(|gone| gone.id)) {
        if gone.end.is_none() && state.missing.is_empty() && !gone.had.is_empty() {
            scene.desk.settled.lock().insert(id.into());
        }
    }
    for (new, entries) in &here {
        let has = |gone: &Gone<'_>| {
            let mine = |(service, instance): &Entry<'_>| {
                entries.iter().any(|entry| entry.service == **service && entry.instance.identity() == *instance)
            };
            gone.had.iter().any(|(entry, _)| mine(entry))
        };
        let found = predecessor(new, gone, &states, &has).or_else(|| {
            let silent: Vec<&ConnectionFacts> =
                here.iter().filter(|(_, entries)| entries.is_empty()).map(|(new, _)| *new).collect();
            of_before(scene, new, gone, &states, &silent, &has)
        });
        let Some((at, found)) = found else { continue };
        // Publishes something else: then it is its successor only if some of what it published came back over it; and who
        // publishes nothing is not, when it came back over another.
        let other = if entries.is_empty() { states[at].came_back } else { !found.partly };
        if states[at].missing.is_empty() || other {
            continue;
        }
        if let Some(hit) = judged(scene, &found, &states[at].missing, entries.len()) {
            hits.add(hit);
        }
    }
}

/// What became of the registrations of one that left.
struct State {
    came_back: bool,
    /// Which of them are not there and were not taken back in order.
    missing: Vec<usize>,
}

/// Behind a proxy only what the client says tells it from the others.
fn place_of(connection: &ConnectionFacts) -> &str {
    if connection.client_ip == connection.address { &connection.address } else { &connection.client_ip }
}

/// Whether nobody took the registration back since, or registered it elsewhere.
fn is_missing(scene: &Scene<'_>, gone: &Gone<'_>, (service, instance): &Entry<'_>) -> bool {
    let newest = scene.memory.instance(service, instance, scene.now.wall, HORIZON_MS).next();
    newest.is_none_or(|newest| is_loss(newest) && newest.subject.client.as_deref() == Some(gone.id))
}

fn is_loss(event: &Event) -> bool {
    matches!(*event.cause, Cause::InstanceRemoved { removal: Removal::ConnectionLost { .. } })
}

// ---------------------------------------------------------------------------------------------------------- who left

/// Naming connections that ended while this process ran.
fn parted<'a>(scene: &'a Scene<'_>) -> Vec<Gone<'a>> {
    let now = scene.now.wall;
    // Of the connections of one client those for configs end with it, and say nothing here.
    let other =
        |event: &&'a Event| matches!(&*event.cause, Cause::ClientConnected { module, .. } if !is_naming(module));
    let connected = scene.memory.kind("clientConnected", now, HORIZON_MS).filter(other);
    let others: HashSet<&str> = connected.filter_map(|event| event.subject.client.as_deref()).collect();
    let mut parted: HashMap<&str, Gone<'_>> = HashMap::new();
    for end in scene.memory.kind("clientDisconnected", now, HORIZON_MS) {
        if let Some(id) = end.subject.client.as_deref().filter(|id| !others.contains(id)) {
            parted.insert(id, Gone { id, at: end.at, end: Some(end), who: None, had: Vec::new() });
        }
    }
    for event in scene.memory.kind("instanceRemoved", now, HORIZON_MS).filter(|event| is_loss(event)) {
        if let (Some(client), Some(service), Some(instance)) =
            (event.subject.client.as_deref(), &event.subject.service, event.subject.instance.as_deref())
            && let Some(gone) = parted.get_mut(client)
        {
            gone.had.push(((service, instance), Some(event)));
        }
    }
    if parted.values().any(|gone| !gone.had.is_empty()) {
        for who in scene.sightings.partings.all() {
            if let Some(gone) = parted.get_mut(&*who.id) {
                gone.who = Some(who);
            }
        }
    }
    let mut parted: Vec<Gone<'_>> = parted.into_values().collect();
    parted.sort_by(|a, b| (a.at, a.id).cmp(&(b.at, b.id)));
    parted
}

/// Those that ended with the process before this one. To those who come back, that is when this one began.
fn before<'a>(scene: &'a Scene<'_>) -> Vec<Gone<'a>> {
    let uptime = i64::try_from(scene.server.uptime_ms()).unwrap_or(i64::MAX);
    if uptime > HORIZON_MS {
        return Vec::new();
    }
    let settled = scene.desk.settled.lock();
    let stood = scene.memory.before.stood.iter().filter(|stood| !settled.contains(&*stood.who.id));
    let gone = stood.map(|stood| Gone {
        id: &stood.who.id,
        at: scene.now.wall - uptime,
        end: None,
        who: Some(stood.who.clone()),
        had: stood.published.iter().map(|(service, instance)| ((service, &**instance), None)).collect(),
    });
    gone.collect()
}

/// The ip of `ip:port:cluster`.
fn ip_of(instance: &str) -> Option<&str> {
    Some(instance.rsplit_once(':')?.0.rsplit_once(':')?.0)
}

// ------------------------------------------------------------------------------------------------------ who took their place

/// Whether a connection came at a time when it may be the successor.
fn in_time(new: &ConnectionFacts, gone: &Gone<'_>) -> bool {
    (-TOGETHER_MS..SUCCESSOR_MS).contains(&(new.since - gone.at)) && gone.id != new.id
}

/// What a connection says of itself fits.
fn is_kin(new: &ConnectionFacts, gone: &Gone<'_>) -> bool {
    gone.who.as_ref().is_none_or(|who| who.may_be(&new.version, &new.app))
}

/// The connection whose place this one took: the one that ended last before it.
fn predecessor<'a>(
    new: &'a ConnectionFacts,
    all: &[&'a Gone<'a>],
    states: &[State],
    has: &dyn Fn(&Gone<'_>) -> bool,
) -> Option<(usize, Return<'a>)> {
    let fits = |gone: &Gone<'_>| gone.end.is_some() && in_time(new, gone) && is_kin(new, gone);
    let group = || all.iter().enumerate().filter(|(_, gone)| fits(gone));
    let last = group().map(|(_, gone)| gone.at).max()?;
    let together = || group().filter(|(_, gone)| last - gone.at <= TOGETHER_MS);
    let (at, gone) = together().find(|(at, _)| !states[*at].missing.is_empty())?;
    let sure = together().count() == 1;
    Some((at, Return { new, gone, partly: has(gone), sure }))
}

/// As [`predecessor`], after a restart: all ended at once, so they are told by what came back, and by how many there are.
fn of_before<'a>(
    scene: &Scene<'_>,
    new: &'a ConnectionFacts,
    all: &[&'a Gone<'a>],
    states: &[State],
    silent: &[&ConnectionFacts],
    has: &dyn Fn(&Gone<'_>) -> bool,
) -> Option<(usize, Return<'a>)> {
    let fits = |gone: &Gone<'_>, new: &ConnectionFacts| {
        gone.end.is_none() && in_time(new, gone) && is_kin(new, gone) && !is_stranger(scene, new, gone)
    };
    let of = || all.iter().enumerate().filter(|(_, gone)| fits(gone, new));
    if let Some((at, gone)) = of().find(|(at, gone)| has(gone) && !states[*at].missing.is_empty()) {
        return Some((at, Return { new, gone, partly: true, sure: true }));
    }
    if !silent.iter().any(|one| one.id == new.id) {
        return None;
    }
    let losers: Vec<(usize, &'a Gone<'a>)> = of()
        .filter(|(at, _)| !states[*at].missing.is_empty() && !states[*at].came_back)
        .map(|(at, gone)| (at, *gone))
        .collect();
    let (at, gone) = *losers.first()?;
    // As many as only consumed before may do so now.
    let consumers = all.iter().filter(|other| other.had.is_empty() && fits(other, new)).count();
    let candidates = silent.iter().filter(|one| fits(gone, one)).count();
    (candidates > consumers).then_some(())?;
    Some((at, Return { new, gone, partly: false, sure: candidates == 1 && losers.len() == 1 }))
}

/// Whether it asks for services that the other did not ask for: a process of its own.
fn is_stranger(scene: &Scene<'_>, new: &ConnectionFacts, gone: &Gone<'_>) -> bool {
    let Some(before) = gone.who.as_ref().and_then(|who| who.interests) else { return false };
    before.lacks(interests(scene, new))
}

fn interests(scene: &Scene<'_>, new: &ConnectionFacts) -> Interests {
    let subscriptions = scene.naming.client_subscriptions(&new.id).unwrap_or_default();
    subscriptions.iter().map(|subscriber| &subscriber.service).collect()
}

// ------------------------------------------------------------------------------------------------------------ how sure it is

/// The finding, if it is time for it.
fn judged(scene: &Scene<'_>, found: &Return<'_>, missing: &[usize], has: usize) -> Option<Hit> {
    let Return { new, gone, partly, sure } = found;
    let known = known_to_lose_redo(&new.version).is_some();
    // It goes on asking for what it asked for: nobody but the process itself knows that.
    let mine = interests(scene, new);
    let same = gone.who.as_ref().and_then(|who| who.interests).is_some_and(|was| was == mine && !mine.is_empty());
    let lives = match gone.end.map(|end| &*end.cause) {
        // A process that ends closes its connections, too.
        Some(Cause::ClientDisconnected { cause: Disconnect::ClosedByClient | Disconnect::ResetByPeer, .. }) => {
            same || new.since - gone.at < QUICK_MS
        }
        Some(_) => true,
        None => same || known,
    };
    let certain = *partly || (lives && !is_stranger(scene, new, gone));
    if !certain && is_stranger(scene, new, gone) {
        return None;
    }
    let patience = if certain { PATIENCE_MS } else { MORE_PATIENCE_MS };
    if scene.now.wall - new.since < patience {
        return None;
    }
    let confidence = match (certain, sure) {
        (true, true) if known || *partly => Confidence::High,
        (true, true) => Confidence::Medium,
        _ => Confidence::Low,
    };
    let hit = hit(scene, found, missing, has).confidence(confidence);
    Some(match certain {
        true => hit.not(line!(
            "a client that only consumes: the one before it published",
            "只消费的客户端：它之前的那个发布过实例"
        )),
        false => hit.severity(Severity::Info),
    })
}

fn hit(scene: &Scene<'_>, found: &Return<'_>, missing: &[usize], has: usize) -> Hit {
    let Return { new, gone, .. } = found;
    let lost: Vec<_> = missing.iter().map(|index| &gone.had[*index]).collect();
    let services: BTreeSet<&str> = lost.iter().map(|((service, _), _)| &*service.name).collect();
    let (service, instance) = lost[0].0;
    let ip = place_of(new).to_owned();
    let version = if new.version.is_empty() { "?" } else { &new.version };
    let ago = |at: i64| duration(u64::try_from(scene.now.wall - at).unwrap_or(0));
    let mut hit = Hit::new(About::service(service).with_instance(instance).with_client(&new.id).with_address(&ip))
        .grouped(&ip)
        .fact("address", &ip)
        .fact("services", listed(services.iter().copied()))
        .fact("version", version)
        .fact("connected", ago(new.since))
        .fact("publishes", has)
        .fact("lost", lost.len())
        .saw(
            new.since,
            line!(
                "{ip} connected again as {} ({version}), module {}",
                "{ip} 以 {} 重新连接（{version}），模块 {}",
                new.id,
                new.module
            ),
        )
        .saw(
            scene.now.wall - new.idle_ms as i64,
            line!("last heard of on that connection: it is alive", "最后一次在该连接上听到它：它活着"),
        )
        .not(line!("the network: the connection stands and its client speaks", "网络：连接还在，客户端也在说话"));
    hit = match known_to_lose_redo(&new.version) {
        Some(why) => {
            hit.words("sdk", format!("{version} is known for it ({why})"), format!("{version} 以此闻名（{why}）"))
        }
        None => hit.words("sdk", format!("{version} is not known for it"), format!("{version} 没有此类已知问题")),
    };
    hit = match gone.end {
        Some(end) => hit.event(end),
        None => hit.saw(
            scene.memory.before.ended,
            line!(
                "the process before this one ended; {} had registered {} instances",
                "之前的进程结束；{} 曾注册 {} 个实例",
                gone.id,
                gone.had.len()
            ),
        ),
    };
    for (entry, event) in lost.iter().take(5) {
        hit = match event {
            Some(event) => hit.event(event),
            None => hit.saw(
                scene.memory.before.ended,
                line!("{} of {} was registered", "{1} 的 {0} 曾已注册", entry.1, entry.0.name),
            ),
        };
    }
    hit
}

/// Versions whose redo after a reconnect loses registrations, as their issues say.
fn known_to_lose_redo(agent: &str) -> Option<&'static str> {
    let (name, version) = agent.strip_prefix("Nacos-")?.split_once("Client:")?;
    let mut numbers =
        version.trim_start_matches(['v', 'V']).split('.').map(|part| part.trim().parse::<u32>().unwrap_or(0));
    let version = (numbers.next()?, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match name {
        "Go-" if ((2, 0, 0)..(2, 3, 0)).contains(&version) => Some("nacos-sdk-go <= 2.2, #587, #736"),
        "Python-" if ((2, 0, 0)..(2, 0, 10)).contains(&version) => Some("nacos-sdk-python <= 2.0.9"),
        _ => None,
    }
}

#[cfg(test)]
#[path = "redo_tests.rs"]
mod tests;
