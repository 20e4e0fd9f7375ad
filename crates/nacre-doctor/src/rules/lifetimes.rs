//! Life-times of the connections of one address: a timer on the way that cuts them, or a client that comes and goes in a loop.

use std::collections::BTreeSet;

use nacre_journal::duration;

use super::{connections::listed, redo::CROWD};
use crate::{
    About, Hit, Hits, Scene, line,
    memory::{HORIZON_MS, address_of},
    sightings::{Act, Ended, How, Source},
};

/// So many ends say something about life-times.
const LIVES: usize = 4;
/// Shorter lives are crashes and scripts, no idle time-outs.
const LEAST_LIFE_MS: u64 = 2_500;
/// A set-up takes its time on a busy machine, and a life begins with it.
const SPREAD_MS: u64 = 800;
/// Begins of connections that do not belong together.
const APART_MS: u64 = 3_000;
/// So many ends of a crowd must be known.
const CROWD_ENDS: usize = 10;
/// After a cut a client is back within this.
const BACK_MS: u64 = 10_000;

/// Addresses with an end of a connection that is still told.
fn ended_lately(scene: &Scene<'_>) -> Vec<std::sync::Arc<Source>> {
    let mut addresses = BTreeSet::new();
    for event in scene.told("clientDisconnected") {
        if let Some(client) = event.subject.client.as_deref() {
            addresses.insert(address_of(client));
        }
    }
    addresses.into_iter().filter_map(|ip| scene.sightings.get(ip)).collect()
}

/// The life that all the newest connections of an address had, whoever closed them: `(median, ends)`.
fn peak(source: &Source, scene: &Scene<'_>) -> Option<(u64, Vec<Ended>)> {
    let ends: Vec<Ended> = source.ends().into_iter().filter(|end| end.how == How::Theirs).collect();
    let newest = &ends[ends.len().checked_sub(LIVES)?..];
    // Of a crowd some always end alike by chance: then nearly all that are remembered must.
    if source.open() as usize > CROWD && ends.len() < CROWD_ENDS {
        return None;
    }
    let mut lives: Vec<u64> = newest.iter().map(|end| end.lived_ms).collect();
    lives.sort_unstable();
    let median = lives[LIVES / 2];
    let spread = lives[LIVES - 1] - lives[0];
    // Connections that begin and end together say nothing of their lives.
    let begins = newest.iter().map(Ended::began);
    let apart = begins.clone().max().unwrap_or(0) - begins.min().unwrap_or(0);
    let alike = ends.iter().filter(|end| end.lived_ms.abs_diff(median) <= (median / 25).max(SPREAD_MS)).count();
    // Whoever comes and goes by a timetable does not come back at once.
    let connected = scene.now.mono.saturating_sub(source.ago(Act::Connect, scene.now).unwrap_or(u64::MAX));
    let is_back = |end: &&Ended| {
        let soon = |began: u64| (end.at.mono.saturating_sub(500)..=end.at.mono + BACK_MS).contains(&began);
        ends.iter().any(|other| other.began() != end.began() && soon(other.began())) || soon(connected)
    };
    let back = newest.iter().filter(is_back).count();
    let constant = median >= LEAST_LIFE_MS
        && spread <= (median / 25).max(SPREAD_MS)
        && back + 1 >= LIVES
        && 4 * alike >= 3 * ends.len()
        && apart >= APART_MS;
    constant.then(|| (median, newest.to_vec()))
}

pub(super) fn constant(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen = BTreeSet::new();
    // A life of fifteen minutes ends more seldom than such things are told.
    for event in scene.memory.kind("clientDisconnected", scene.now.wall, HORIZON_MS) {
        let Some(client) = event.subject.client.as_deref() else { continue };
        let address = address_of(client);
        if !seen.insert(address) {
            continue;
        }
        let Some(source) = scene.sightings.get(address) else { continue };
        let Some((median, ends)) = peak(&source, scene) else { continue };
        let last = ends[LIVES - 1];
        if scene.now.mono > last.at.mono + 2 * median + scene.told_ms.unsigned_abs() {
            continue;
        }
        let claimed = source.claimed();
        let (whose, zh_whose) = if claimed.is_empty() {
            (
                "the client's own address, so something on the way cuts it (NAT, firewall, service mesh)".to_owned(),
                "这是客户端自己的地址，所以是途中的某物切断了它（NAT、防火墙、服务网格）".to_owned(),
            )
        } else {
            let clients = listed(claimed.iter().map(|ip| &**ip));
            (
                format!("a proxy or load balancer; clients behind it say {clients}"),
                format!("这是代理或负载均衡；其后的客户端自报 {clients}"),
            )
        };
        let mut hit = Hit::new(About::address(address))
            .fact("address", address)
            .fact("life", duration(median))
            .fact("times", ends.len())
            .words("whose", whose, zh_whose)
            .not(line!(
                "clients that stop: they are back at once after every cut",
                "客户端停止：每次断开后它们立刻回来"
            ))
            .not(line!(
                "this server: it closed none of these {} connections itself",
                "本服务器：这 {} 个连接没有一个是它关闭的",
                ends.len()
            ));
        for end in &ends {
            hit = hit.saw(
                end.at.wall,
                line!(
                    "a connection from {address} ended after {}",
                    "来自 {address} 的连接在 {} 后结束",
                    duration(end.lived_ms)
                ),
            );
        }
        hits.add(hit);
    }
}

/// Ends within a minute that are a loop.
const LOOP: usize = 6;

pub(super) fn churn(scene: &Scene<'_>, hits: &mut Hits) {
    for source in ended_lately(scene) {
        let recent: Vec<Ended> =
            source.ends().into_iter().filter(|end| scene.now.mono.saturating_sub(end.at.mono) < 60_000).collect();
        let median = {
            let mut lives: Vec<u64> = recent.iter().map(|end| end.lived_ms).collect();
            lives.sort_unstable();
            lives.get(lives.len() / 2).copied().unwrap_or(0)
        };
        // Many clients behind one address come and go; a loop is many ends where few are connected.
        let told = recent.last().is_some_and(|end| {
            i64::try_from(scene.now.mono.saturating_sub(end.at.mono)).is_ok_and(|ago| ago < scene.told_ms)
        });
        let theirs = recent.iter().filter(|end| end.how == How::Theirs).count();
        if theirs < LOOP || !told || source.open() as usize * 3 > recent.len() || peak(&source, scene).is_some() {
            continue;
        }
        let address = source.address.to_string();
        let agent = source.agents().last().map_or_else(|| "a client".to_owned(), ToString::to_string);
        let mut hit = Hit::new(About::address(&address))
            .fact("address", &address)
            .fact("times", recent.len())
            .fact("life", duration(median))
            .fact("agent", agent)
            .not(line!(
                "a proxy with a constant life-time: the connections lived for different times",
                "固定寿命的代理：这些连接存活的时间各不相同"
            ))
            .not(line!("this server: it did not close them", "本服务器：不是它关闭的"));
        for end in recent.iter().rev().take(6) {
            hit = hit.saw(
                end.at.wall,
                line!(
                    "a connection from {address} ended after {}",
                    "来自 {address} 的连接在 {} 后结束",
                    duration(end.lived_ms)
                ),
            );
        }
        hits.add(hit);
    }
}
