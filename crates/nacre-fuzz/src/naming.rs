//! Texts of the naming side.

use nacre_model::{Instance, Now, ServiceKey};
use nacre_naming::{
    Beat, BeatInfo, ClientId, ConnectionInfo, FuzzyWatched, HealthChecker, Naming, NamingCommand, Options, Page, Query,
    Selector, Switches, parse_metadata,
};

const NOW: Now = Now { mono: 1_000, wall: 1_700_000_000_000 };

fn service() -> ServiceKey {
    ServiceKey::new("public", "G", "s")
}

/// The `beat` parameter, and the instance that a full beat of nobody registers.
pub fn beat(data: &[u8]) {
    let text = crate::text(data);
    let info = match BeatInfo::parse(&text) {
        Ok(info) => info,
        Err(error) => return assert_eq!(error.status, 101),
    };
    assert!(!info.weight.is_nan());
    let naming = Naming::new(Options::default());
    let key = service();
    let beat =
        Beat { service: &key, ip: &info.ip, port: info.port, cluster: &info.cluster, info: Some(&info), sender: "" };
    let Ok((answer, _)) = naming.beat(&beat, NOW) else { return };
    if answer.code == 10200 {
        let view = naming.list(&key, &Query::default(), NOW);
        for host in view.hosts.iter() {
            assert!(serde_json::to_string(&**host).is_ok());
        }
        let again = naming.beat(&Beat { info: None, ..beat }, NOW.plus(5_000)).map(|(answer, _)| answer.code);
        assert_eq!(again.ok(), Some(10200), "whoever beat is known: {text}");
        let _ = naming.tick(NOW.plus(60_000));
    }
}

/// The `metadata` parameter in its two forms.
pub fn metadata(data: &[u8]) {
    let text = crate::text(data);
    match parse_metadata(&text) {
        Ok(metadata) => {
            let json = serde_json::to_string(&metadata).expect("JSON");
            assert_eq!(parse_metadata(&json).as_ref(), Ok(&metadata), "{json}");
        }
        Err(error) => assert_eq!((error.status, error.code.code), (400, 21002)),
    }
}

/// The `selector` parameter. What is stored reads back.
pub fn selector(data: &[u8]) {
    let text = crate::text(data);
    if let Ok(selector) = Selector::parse(&text) {
        let stored = serde_json::to_string(&selector).expect("JSON");
        assert_eq!(serde_json::from_str::<Selector>(&stored).ok().as_ref(), Some(&selector));
        let _ = selector.context_type();
    }
    if let Some(id) = ClientId::parse(&text) {
        assert_eq!(ClientId::parse(&id.to_string()), Some(id));
    }
}

/// The `healthChecker` parameter, and the values of operator switches (entry, line feed, value).
pub fn health_checker(data: &[u8]) {
    let text = crate::text(data);
    if let Ok(checker) = HealthChecker::parse(&text) {
        let stored = serde_json::to_string(&checker).expect("JSON");
        assert_eq!(serde_json::from_str::<HealthChecker>(&stored).ok().as_ref(), Some(&checker), "{stored}");
    }
    let (entry, value) = crate::two(data);
    let naming = Naming::new(Options::default());
    let command = NamingCommand::SetSwitch { entry: crate::text(entry).into(), value: crate::text(value).into() };
    let applied = naming.apply(&command, NOW);
    let mut switches = Switches::default();
    assert_eq!(switches.set(&crate::text(entry), &crate::text(value)).is_ok(), applied.reply.is_ok());
    assert!(
        serde_json::to_string(&switches.to_json()).is_ok() && serde_json::to_string(&switches.to_json_v3()).is_ok()
    );
    let _ = naming.tick(NOW.plus(1_000));
}

/// Searches by name: an expression and the names it is compared with, a line each.
pub fn name_patterns(data: &[u8]) {
    let (expression, names) = crate::two(data);
    let (expression, names) = (crate::text(expression), crate::text(names));
    let naming = Naming::new(Options::default());
    let names: Vec<&str> = names.split('\n').take(8).collect();
    for name in &names {
        let _ = naming.register_http(&ServiceKey::new("public", "G", name), Instance::new("10.0.0.1", 1), NOW);
    }
    let all = naming.service_keys(None, "").len();
    let found = naming.service_keys(None, &expression);
    assert!(found.len() <= all);
    let page = Page { number: 1, size: 100 };
    let (name, group) = expression.split_once('@').unwrap_or((&expression, ""));
    for ignore_empty in [false, true] {
        assert!(naming.catalog("public", name, group, ignore_empty, page).total <= all);
    }
    if expression.chars().all(|c| c.is_alphanumeric() || c == '-') {
        let expected = naming.service_keys(None, "").iter().filter(|key| key.grouped().contains(&*expression)).count();
        assert_eq!(found.len(), expected, "{expression:?}");
    }
}

/// Services named by the pushes that follow a watch.
fn told(watched: &FuzzyWatched) -> usize {
    watched.batches.iter().map(|batch| batch.contexts.len()).sum()
}

/// A pattern of a fuzzy watch, and a service's name.
pub fn fuzzy_watch(data: &[u8]) {
    let (pattern, name) = crate::two(data);
    let (pattern, name) = (crate::text(pattern), crate::text(name));
    let naming = Naming::new(Options::default());
    let _ = naming.connect(ConnectionInfo { id: "1_a_1".into(), ..ConnectionInfo::default() }, NOW);
    let client = ClientId::connection("1_a_1");
    let key = ServiceKey::new("public", "G", &name);
    let _ = naming.register_http(&key, Instance::new("10.0.0.1", 1), NOW);
    let before = naming.fuzzy_watch(&client, &pattern, &[], true);
    assert!(told(&before) <= 1);
    // A pattern that names the service with stars around it matches.
    let own = format!("public>>G>>*{name}*");
    if !name.contains('*') && !name.contains(">>") && naming.service_exists(&key) {
        let watched = naming.fuzzy_watch(&client, &own, &[], false);
        assert_eq!(told(&watched), 1, "{own:?}");
    }
    naming.fuzzy_cancel(&client, &pattern);
}
