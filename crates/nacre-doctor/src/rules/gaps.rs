//! Silence: an instance that is kept alive by beats has none for longer than its timeout. Whose silence it is shows what
//! else is heard: other services of the same client, other clients of its address, its subnet, everybody.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use nacre_journal::duration;
use nacre_model::ServiceKey;
use nacre_naming::Census;

use super::{credit, misnamed, refusals, zh};
use crate::{
    About, Confidence, Hit, Hits, Rule, Scene, line,
    memory::HORIZON_MS,
    rule,
    scene::Judged,
    sightings::{Act, Source},
};

mod silence;

pub(super) use silence::seconds;
use silence::{MANY, Silence, State, Wave, silences, subnet_of, waves};

pub static RULES: [Rule; 9] = [
    rule!("BEAT-GAP-CLIENT-PAUSED", paused),
    rule!("BEAT-GAP-EVERYBODY", everybody),
    rule!("BEAT-GAP-FAIL-WAIT", fail_wait),
    rule!("BEAT-GAP-HOST", host),
    rule!("BEAT-GAP-SUBNET", subnet),
    rule!("BEAT-TASK-DEAD", task_dead),
    rule!("CLIENT-GONE", gone),
    rule!("REGISTER-NO-BEATS", never_beat),
    rule!("REREGISTER-STOPS-BEATS", stopped_by_register),
];

macro_rules! verdicts {
    ($($name:ident = $code:literal;)*) => {
        $(fn $name(scene: &Scene<'_>, hits: &mut Hits) {
            judged(scene).iter().filter(|(code, _)| *code == $code).for_each(|(_, hit)| hits.add(hit.clone()));
        })*
    };
}

verdicts! {
    paused = "BEAT-GAP-CLIENT-PAUSED";
    everybody = "BEAT-GAP-EVERYBODY";
    fail_wait = "BEAT-GAP-FAIL-WAIT";
    host = "BEAT-GAP-HOST";
    subnet = "BEAT-GAP-SUBNET";
    task_dead = "BEAT-TASK-DEAD";
    gone = "CLIENT-GONE";
    never_beat = "REGISTER-NO-BEATS";
    stopped_by_register = "REREGISTER-STOPS-BEATS";
}

/// What every silence was judged to be; worked out once a round.
fn judged(scene: &Scene<'_>) -> Arc<Judged> {
    let key = (scene.now, scene.memory.last());
    let mut kept = scene.desk.silences.lock();
    if let Some((at, judged)) = &*kept
        && *at == key
    {
        return Arc::clone(judged);
    }
    let judged = Arc::new(judge(scene));
    *kept = Some((key, Arc::clone(&judged)));
    judged
}

/// Those of a code.
pub(super) fn judged_as(scene: &Scene<'_>, code: &str) -> Vec<Hit> {
    judged(scene).iter().filter(|(other, _)| *other == code).map(|(_, hit)| hit.clone()).collect()
}

/// Whether the silence of `ip:port` is told by one of these rules: others then keep theirs back.
pub(super) fn is_told(scene: &Scene<'_>, ip: &str, port: i32) -> bool {
    let client = format!("{ip}:{port}#true");
    judged(scene).iter().any(|(_, hit)| hit.about.client.as_deref() == Some(&*client))
}

fn judge(scene: &Scene<'_>) -> Judged {
    let mut silences = silences(scene);
    if silences.is_empty() {
        return Vec::new();
    }
    let stalls: Vec<i64> =
        scene.memory.kind("serverStalled", scene.now.wall, HORIZON_MS).map(|event| event.at).collect();
    let unknown = unknown_beats(scene);
    let misnamed = misnamed::all(scene);
    silences.retain(|silence| {
        let own = stalls.iter().any(|at| (silence.onset..=silence.event.at + 1_000).contains(at));
        let astray = |other: &misnamed::Misnamed<'_>| {
            (other.service, &*other.ip, other.port) == (silence.service, &*silence.ip, silence.port)
        };
        !own && !misnamed.iter().any(astray) && !is_explained(scene, silence) && !is_heard(silence, &unknown)
    });
    silences.sort_by_key(|silence| silence.onset);
    let census = scene.census(silences.iter().map(|silence| Arc::clone(&silence.ip)).collect());
    let waves = waves(&silences);
    let verdict = |(silence, wave): (&Silence<'_>, &Arc<Wave>)| verdict(scene, silence, wave, &census);
    silences.iter().zip(&waves).filter_map(verdict).collect()
}

/// The oldest and the newest beat of clients that beat for what is not registered.
fn unknown_beats<'a>(scene: &'a Scene<'_>) -> HashMap<(&'a ServiceKey, &'a str), (i64, i64)> {
    let mut found: HashMap<(&ServiceKey, &str), (i64, i64)> = HashMap::new();
    for event in scene.memory.kind("beatUnknownInstance", scene.now.wall, HORIZON_MS) {
        if let (Some(service), Some(client)) = (&event.subject.service, event.subject.client.as_deref()) {
            found.entry((service, client)).or_insert((event.at, event.at)).0 = event.at;
        }
    }
    found
}

/// It beats, but its beats find nothing: no silence. One such beat right before it registers again is how clients return.
fn is_heard(silence: &Silence<'_>, unknown: &HashMap<(&ServiceKey, &str), (i64, i64)>) -> bool {
    const RETURN_MS: i64 = 1_500;
    let Some(client) = silence.event.subject.client.as_deref() else { return false };
    let Some((oldest, newest)) = unknown.get(&(silence.service, client)) else { return false };
    match silence.state {
        State::Unhealthy => false,
        State::Removed(removed) => *newest > removed.at,
        State::Back(back) => (silence.onset..back.at - RETURN_MS).contains(oldest),
    }
}

/// Its timers or a beat that goes elsewhere explain it: told by their own rules.
fn is_explained(scene: &Scene<'_>, silence: &Silence<'_>) -> bool {
    let (interval, timeout) = (silence.interval(), silence.timeout());
    let hurried = silence.gap_ms <= 2 * interval + 500;
    if timeout < 100 || interval >= timeout || (hurried && timeout < 2 * interval) {
        return true;
    }
    credit::elsewhere(scene, silence.service, &silence.ip, silence.port).is_some()
        || silence.beater.as_ref().is_some_and(|beater| beater.unchecked)
        || (!silence.is_back() && {
            let within = i64::try_from(3 * interval).unwrap_or(0) + 5_000;
            let since = scene.now.wall - silence.onset;
            refusals::is_refused(scene, silence.service, &silence.ip, silence.port, within.min(since))
        })
}

fn verdict(scene: &Scene<'_>, silence: &Silence<'_>, wave: &Wave, census: &Census) -> Option<(&'static str, Hit)> {
    let source = scene.sightings.get(&silence.ip);
    let base = base(scene, silence, source.as_deref());
    let client = format!("{}:{}", silence.ip, silence.port);
    if silence.is_paced() {
        return Some(("INTERVAL-OVER-TIMEOUT", paced(silence, base)));
    }
    if silence.beats == 0 {
        if silence.is_back() {
            return None;
        }
        return Some(if silence.gaps.is_empty() {
            ("REGISTER-NO-BEATS", never(scene, silence, base))
        } else {
            let hit = base.grouped(client).not(line!(
                "a client that never beats: it did before it registered again",
                "从不发心跳的客户端：重新注册之前它发过"
            ));
            ("REREGISTER-STOPS-BEATS", hit.confidence(Confidence::High))
        });
    }
    if wave.hosts.len() >= MANY && wave.members > census.steady {
        let hit = base
            .grouped("all")
            .fact("silent_count", wave.members)
            .fact("hosts", wave.hosts.len())
            .fact("steady", census.steady)
            .severity(crate::Severity::Critical)
            .not(line!(
                "single clients: they fell silent within seconds of each other",
                "个别客户端：它们在几秒内相继静默"
            ));
        return Some(("BEAT-GAP-EVERYBODY", hit));
    }
    let subnet = subnet_of(&silence.ip);
    if let Some(subnet) = subnet
        && let Some(hosts) = wave.subnets.get(subnet).filter(|hosts| hosts.len() >= MANY)
        && census.steady_in.get(subnet).copied().unwrap_or(0) == 0
    {
        let hit = base
            .grouped(subnet)
            .fact("subnet", format!("{subnet}.0/24"))
            .fact("hosts", hosts.len())
            .fact("steady", census.steady)
            .not(line!(
                "the server and its own network: {} instances elsewhere beat on",
                "服务器及其网络：别处还有 {} 个实例继续发心跳",
                census.steady
            ))
            .not(line!(
                "single processes: all addresses of the subnet fell silent within seconds of each other",
                "个别进程：该子网的所有地址在几秒内相继静默"
            ));
        return Some(("BEAT-GAP-SUBNET", hit));
    }
    let (code, hit) = on_host(scene, silence, wave, census, source.as_deref(), base);
    // Who fell silent together with others is not alone with it, and that shows within one interval.
    let others = census.steady + census.late > wave.members;
    let early = silence.gap_ms < silence.timeout() + silence.interval() + TO_SHOW_MS;
    (code != "CLIENT-GONE" || !others || !early || !matches!(silence.state, State::Unhealthy)).then_some((code, hit))
}

/// As `INTERVAL-OVER-TIMEOUT` tells it, for who never said how often it beats.
fn paced(silence: &Silence<'_>, base: Hit) -> Hit {
    let mut gaps = silence.gaps.to_vec();
    gaps.sort_unstable();
    let pace = gaps.get(gaps.len() / 2).copied().map_or(silence.timeout(), u64::from);
    let delete = silence.beater.as_ref().map(|beater| beater.delete_ms);
    let delete = delete.or(silence.instance.as_ref().map(|instance| instance.delete_timeout_ms())).unwrap_or(30_000);
    base.grouped(silence.service.to_string())
        .fact("pace", pace)
        .fact("timeout", silence.timeout())
        .fact("interval", silence.interval())
        .fact("delete", delete)
        .fact("wanted", 3 * pace)
        .words("given", "nothing", "无")
        .confidence(Confidence::High)
        .not(line!(
            "a pause, the network: every gap since its registration is longer than the timeout",
            "停顿、网络：注册以来的每个间隔都长于超时"
        ))
}

/// After an interval, until the others' silence is judged.
const TO_SHOW_MS: u64 = 500;

/// The address is alone with its silence: the host, the process, or its beats only?
fn on_host(
    scene: &Scene<'_>,
    silence: &Silence<'_>,
    wave: &Wave,
    census: &Census,
    source: Option<&Source>,
    base: Hit,
) -> (&'static str, Hit) {
    let (ip, client) = (&*silence.ip, format!("{}:{}", silence.ip, silence.port));
    let host = census.hosts.get(ip);
    let elsewhere = census.steady - host.map_or(0, |host| host.steady).min(census.steady);
    // Whoever stopped at the same time may have sent his last beat a moment later.
    let went_on = |ago: u64| silence.is_back() || ago + silence.interval() + 500 < silence.gap_ms;
    let neighbours = host.map(|host| host.examples.as_slice()).unwrap_or_default();
    let itself = |port: i32, service: &ServiceKey| port == silence.port && service == silence.service;
    let is_steady = silence.is_back() && neighbours.iter().any(|(port, service, _)| itself(*port, service));
    let neighbours = neighbours.iter().filter(|(port, service, _)| !itself(*port, service));
    let neighbours: Vec<_> = neighbours.filter(|(_, _, ago)| went_on(*ago)).collect();
    let steady = host.filter(|_| !neighbours.is_empty()).map_or(0, |host| host.steady - usize::from(is_steady));
    let mut base = base;
    if elsewhere > 0 {
        base = base.not(line!(
            "this server and the network in general: {elsewhere} instances of other addresses beat on",
            "本服务器与整体网络：其他地址的 {elsewhere} 个实例继续发心跳"
        ));
    }
    // The very process beats for another service.
    if let Some((_, service, ago)) = neighbours.iter().find(|(port, _, _)| *port == silence.port)
        && !silence.is_back()
    {
        let other = format!("it still beats for {} (last beat {} ago)", service.grouped(), duration(*ago));
        let zh_other = format!("它仍在为 {} 发心跳（{} 前最后一次）", service.grouped(), duration(*ago));
        let hit = base
            .grouped(client)
            .words("alive", &other, &zh_other)
            .saw(scene.now.wall - *ago as i64, line!("{ip}:{}: {other}", "{ip}:{}：{zh_other}", silence.port))
            .not(line!(
                "the process, its host and the network: other beats of the same ip and port arrive",
                "进程、主机与网络：同一 ip 和端口的其他心跳能到达"
            ));
        return ("BEAT-TASK-DEAD", hit.confidence(Confidence::High));
    }
    let fail_wait = base.facts.get("agent").is_some_and(|agent| is_cpp(agent));
    if fail_wait && silence.is_back() && (15_000..=30_000).contains(&silence.gap_ms) {
        return ("BEAT-GAP-FAIL-WAIT", base.grouped(client));
    }
    if steady > 0 {
        let named: Vec<String> = neighbours
            .iter()
            .take(3)
            .map(|(port, service, ago)| format!("{ip}:{port} of {} ({} ago)", service.grouped(), duration(*ago)))
            .collect();
        let others: Vec<String> = neighbours
            .iter()
            .take(3)
            .map(|(port, service, ago)| format!("{} 的 {ip}:{port}（{} 前）", service.grouped(), duration(*ago)))
            .collect();
        let zh_witness = format!("同一地址的 {} 一直有心跳", others.join("、"));
        let hit = base
            .grouped(client)
            .words("witness", format!("{} on the same address kept beating", named.join(", ")), zh_witness)
            .saw(
                scene.now.wall,
                line!("beats of the same address go on: {}", "同一地址的心跳仍在继续：{}", named.join(", ")),
            )
            .not(line!(
                "the host and its network: {steady} other instance(s) of {ip} beat on",
                "主机及其网络：{ip} 的另外 {steady} 个实例继续发心跳"
            ));
        if matches!(silence.state, State::Removed(_)) {
            let hit = hit.words("last", format!("other processes of {ip} beat on"), format!("{ip} 的其他进程仍有心跳"));
            return ("CLIENT-GONE", hit);
        }
        return ("BEAT-GAP-CLIENT-PAUSED", hit.confidence(Confidence::High));
    }
    if let Some((act, ago)) = source.and_then(|source| other_traffic(scene, source, silence)) {
        let alive = format!("it was seen {} {} ago", act.words(), duration(ago));
        let hit = base
            .grouped(client)
            .words("alive", &alive, format!("{} 前看到它在{}", duration(ago), zh::act(act)))
            .saw(scene.now.wall - ago as i64, line!(en: "{ip} was seen {}, after the last beat", act.words(); zh: "最后一次心跳之后看到 {ip} {}", zh::act(act)))
            .not(line!("the host and the network: other requests of the address arrive", "主机与网络：该地址的其他请求能到达"));
        return ("BEAT-TASK-DEAD", hit);
    }
    let together = wave.hosts.get(ip).map_or(0, HashSet::len);
    if together >= 2 {
        let hit = base.grouped(ip).fact("clients", together).not(line!(
            "a single process: {together} clients of {ip} fell silent within seconds of each other",
            "个别进程：{ip} 的 {together} 个客户端在几秒内相继静默"
        ));
        return ("BEAT-GAP-HOST", hit);
    }
    if silence.is_back() {
        let hit = base.grouped(client).words(
            "witness",
            "nothing else beats from that address to compare with",
            "该地址没有其他心跳可供比较",
        );
        return ("BEAT-GAP-CLIENT-PAUSED", hit);
    }
    let (last, zh_last) = match source.and_then(|source| source.last(scene.now)) {
        None => (format!("nothing else was ever seen from {ip}"), format!("从未见过来自 {ip} 的其他请求")),
        Some((act, ago)) => (
            format!("{ip} was last seen {} {} ago", act.words(), duration(ago)),
            format!("最后一次看到 {ip} 是 {} 前在{}", duration(ago), zh::act(act)),
        ),
    };
    ("CLIENT-GONE", base.grouped(client).words("last", last, zh_last))
}

/// What the address does besides beating, if it was seen after the last beat.
fn other_traffic(scene: &Scene<'_>, source: &Source, silence: &Silence<'_>) -> Option<(Act, u64)> {
    if silence.is_back() {
        return None;
    }
    let acts = [Act::ConfigListen, Act::ConfigRead, Act::ServiceQuery, Act::Subscribe, Act::Login, Act::ConfigPublish];
    let seen = acts.into_iter().filter_map(|act| Some((act, source.ago(act, scene.now)?)));
    let (act, ago) = seen.min_by_key(|(_, ago)| *ago)?;
    // A long poll is held for half a minute: one that began before the silence says nothing.
    (ago + silence.interval() + 500 < silence.gap_ms).then_some((act, ago))
}

fn is_cpp(agent: &str) -> bool {
    agent.starts_with("Nacos-C-Client") || agent.starts_with("Nacos-CPP-Client")
}

fn never(scene: &Scene<'_>, silence: &Silence<'_>, base: Hit) -> Hit {
    let by = scene.sightings.callers.last(&silence.ip, silence.port, Act::Register);
    let agent = by.as_ref().map(|by| by.agent.to_string()).or_else(|| base.facts.get("agent").cloned());
    let agent = agent.unwrap_or_default();
    let kind = match &*agent {
        agent if agent.starts_with("Nacos-Python") => (
            "the Python SDK beats only when add_naming_instance is given heartbeat_interval",
            "Python SDK 只有在 add_naming_instance 给出 heartbeat_interval 时才发送心跳",
        ),
        agent if is_cpp(agent) => (
            "the C++ SDK stops beating when its NamingService object is destroyed",
            "C++ SDK 的 NamingService 对象销毁后不再发送心跳",
        ),
        agent if agent.starts_with("Nacos-") => (
            "an SDK, whose beat task never started or was shut down at once",
            "这是 SDK，其心跳任务从未启动或立即被关闭",
        ),
        agent if agent.starts_with("Mozilla") => ("a browser, which does not beat", "这是浏览器，不会发送心跳"),
        _ => {
            ("no SDK: a script or tool, which does not beat by itself", "这不是 SDK，而是脚本或工具，不会自行发送心跳")
        }
    };
    let who = by.as_ref().map_or_else(|| silence.ip.to_string(), |by| by.address.to_string());
    let shown = if agent.is_empty() { "?" } else { &*agent };
    let mut hit =
        base.grouped(silence.service.to_string()).fact("who", &who).fact("agent", shown).words("kind", kind.0, kind.1);
    if let Some(by) = by {
        hit = hit.saw(by.at, line!(en: "registered by a call from {} ({shown})", by.address; zh: "由来自 {} 的调用注册（{shown}）", by.address));
    }
    hit.not(line!(
        "lost beats: none ever arrived for it, under this or any other service name",
        "心跳丢失：从来没有到达过，无论以此名还是其他服务名"
    ))
    .confidence(Confidence::High)
}

/// What all verdicts say: the instance, its silence, its timers.
fn base(scene: &Scene<'_>, silence: &Silence<'_>, source: Option<&Source>) -> Hit {
    let agents = source.map(Source::agents).unwrap_or_default();
    let by = scene.sightings.callers.last(&silence.ip, silence.port, Act::Register);
    let proxied = by.filter(|by| source.is_none() && by.address.to_string() != *silence.ip);
    let sdk = agents.iter().rev().find(|agent| agent.starts_with("Nacos-")).or(agents.last());
    let client = format!("{}:{}#true", silence.ip, silence.port);
    let now = match &silence.state {
        State::Unhealthy => ("unhealthy", "不健康"),
        State::Removed(_) => ("removed", "已移除"),
        State::Back(_) => ("back", "已恢复"),
    };
    let about = About::service(silence.service).with_instance(silence.identity).with_client(&client);
    let mut hit = Hit::new(about.with_address(&silence.ip))
        .fact("instance", format!("{}:{}", silence.ip, silence.port))
        .fact("address", &silence.ip)
        .fact("service", silence.service.grouped())
        .fact("namespace", &silence.service.namespace)
        .fact("silence", seconds(silence.gap_ms))
        .words("gaps", silence.gap_list(), silence.gaps_in_words("随后 ", "（至今）"))
        .fact("interval", duration(silence.interval()))
        .fact("timeout", duration(silence.timeout()))
        .words("state", now.0, now.1)
        .fact("agent", sdk.or(proxied.as_ref().map(|by| &by.agent)).map_or("?", |agent| agent))
        .saw(silence.onset, if silence.beats == 0 {
            line!("the registration", "注册")
        } else {
            line!("the last beat before the silence", "静默之前的最后一次心跳")
        })
        .event(silence.event)
        .saw(scene.now.wall, line!(en: "gaps between its beats: {}", silence.gap_list(); zh: "其心跳间隔：{}", silence.gaps_in_words("随后 ", "（至今）")))
        .not(line!("this server: it did not stall meanwhile", "本服务器：期间没有停顿"));
    if let State::Removed(event) | State::Back(event) = silence.state {
        hit = hit.event(event);
    }
    if let Some(by) = proxied {
        let from = by.address;
        hit = hit.saw(
            by.at,
            line!(
                "its calls come from {from} (a proxy or NAT), not from {}",
                "其调用来自 {from}（代理或 NAT），而非 {}",
                silence.ip
            ),
        );
    }
    hit
}

#[cfg(test)]
mod tests;
