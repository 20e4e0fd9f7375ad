use super::*;

fn at(ip: &str, port: i32) -> InstanceRef {
    InstanceRef::new(ip, port, "DEFAULT")
}

fn update(service: &ServiceKey, weight: f64, enabled: bool, pairs: &[(&str, &str)]) -> NamingCommand {
    NamingCommand::UpdateInstance {
        service: service.clone(),
        instance: at("10.0.0.1", 80),
        ephemeral: true,
        weight,
        enabled,
        metadata: (*metadata(pairs)).clone(),
    }
}

fn patch(
    service: &ServiceKey,
    weight: Option<f64>,
    enabled: Option<bool>,
    pairs: Option<&[(&str, &str)]>,
) -> NamingCommand {
    NamingCommand::PatchInstance {
        service: service.clone(),
        instance: at("10.0.0.1", 80),
        weight,
        enabled,
        metadata: pairs.map(|pairs| (*metadata(pairs)).clone()),
    }
}

/// Weight, enabled and metadata as operators see them.
fn seen(world: &World, service: &ServiceKey) -> (f64, bool, Vec<(String, String)>) {
    let instance = world.naming.instance(service, "10.0.0.1", 80, "DEFAULT").expect("there");
    let pairs = instance.metadata.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    (instance.weight, instance.enabled, pairs.collect())
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn an_update_wins_over_the_client_and_is_pushed() {
    let world = World::new();
    let service = key("s");
    world.watch(&service);
    let _ = world.http(&service, Instance { metadata: metadata(&[("v", "1")]), ..instance("10.0.0.1", 80) });
    let (effects, rows) = world.done(update(&service, 5.0, true, &[]));
    assert_eq!(effects.changed, std::slice::from_ref(&service));
    assert_eq!((kinds(&effects), rows.len()), (vec!["operatorMetadata"], 1));
    assert_eq!(seen(&world, &service), (5.0, true, pairs(&[("v", "1")])));
    let _ = world.done(update(&service, 2.0, false, &[("v", "9"), ("op", "x")]));
    assert!(world.hosts(&service).is_empty(), "disabled");
    assert_eq!(seen(&world, &service), (2.0, false, pairs(&[("op", "x"), ("v", "9")])));
    let again = Instance { weight: 7.0, metadata: metadata(&[("v", "3")]), ..instance("10.0.0.1", 80) };
    let _ = world.http(&service, again);
    assert_eq!(seen(&world, &service), (2.0, false, pairs(&[("op", "x"), ("v", "9")])), "the operator's word stays");
    let _ = world.done(update(&service, 1.0, true, &[]));
    assert_eq!(seen(&world, &service), (1.0, true, pairs(&[("v", "3")])), "a full update replaces the record");
}

#[test]
fn an_update_needs_the_service_but_not_the_instance() {
    let world = World::new();
    let service = key("s");
    let text = "service not found, namespace: public, service: \
        Service{namespace='public', group='G', name='s', ephemeral=true, revision=0}";
    assert_eq!(world.refused(update(&service, 1.0, true, &[])), (400, 21004, text.to_owned()));
    let _ = world.http(&service, instance("10.0.0.2", 80));
    let _ = world.done(update(&service, 3.0, true, &[]));
    assert_eq!(world.hosts(&service).len(), 1, "an update makes no instance");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    assert_eq!(seen(&world, &service).0, 3.0);
}

#[test]
fn an_update_is_checked_as_a_registration_is() {
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let (status, code, _) = world.refused(update(&service, 1.0, true, &[("preserved.heart.beat.interval", "90000")]));
    assert_eq!((status, code), (400, 21004));
}

#[test]
fn a_patch_changes_what_it_names() {
    let world = World::new();
    let service = key("s");
    let missing = "no ips found for cluster DEFAULT in service G@@s";
    assert_eq!(world.refused(patch(&service, Some(7.0), None, None)), (404, 20004, missing.to_owned()));
    let _ =
        world.http(&service, Instance { weight: 4.0, metadata: metadata(&[("v", "1")]), ..instance("10.0.0.1", 80) });
    let _ = world.done(patch(&service, None, None, Some(&[("p", "q")])));
    assert_eq!(seen(&world, &service), (4.0, true, pairs(&[("p", "q"), ("v", "1")])), "the client keeps its weight");
    let _ = world.done(patch(&service, Some(7.0), None, None));
    let _ = world.done(patch(&service, None, Some(false), None));
    assert_eq!(seen(&world, &service), (7.0, false, pairs(&[("p", "q"), ("v", "1")])));
    let _ = world.done(patch(&service, None, None, Some(&[])));
    assert_eq!(seen(&world, &service), (7.0, false, pairs(&[("v", "1")])), "metadata are replaced as a whole");
}

#[test]
fn batches_change_keys_of_the_named_or_of_all_instances() {
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, Instance { weight: 2.5, ..instance("10.0.0.1", 80) });
    let _ = world.http(&service, Instance { enabled: false, ..instance("10.0.0.2", 80) });
    let put = |instances: Vec<InstanceRef>, consistency, pairs: &[(&str, &str)]| {
        let metadata = (*metadata(pairs)).clone();
        let service = service.clone();
        match world.apply(NamingCommand::UpdateInstanceMetadata { service, consistency, instances, metadata }).reply {
            Ok(NamingReply::Updated(updated)) => updated,
            other => panic!("{other:?}"),
        }
    };
    let first = "10.0.0.1:80:unknown:DEFAULT:ephemeral";
    let second = "10.0.0.2:80:unknown:DEFAULT:ephemeral";
    assert_eq!(put(vec![at("10.0.0.1", 80), at("10.0.0.9", 80)], Consistency::Ephemeral, &[("a", "1")]), [first]);
    assert_eq!(put(Vec::new(), Consistency::Any, &[("b", "2")]), [first, second], "none named: all, disabled ones too");
    assert_eq!(put(Vec::new(), Consistency::Persist, &[("c", "3")]), [""; 0]);
    assert_eq!(
        seen(&world, &service),
        (2.5, true, pairs(&[("a", "1"), ("b", "2")])),
        "weight and enabled are untouched"
    );
    assert!(!world.naming.instance(&service, "10.0.0.2", 80, "DEFAULT").expect("there").enabled);
    let delete = NamingCommand::DeleteInstanceMetadata {
        service: service.clone(),
        consistency: Consistency::Ephemeral,
        instances: Vec::new(),
        keys: vec!["a".into(), "zz".into()],
    };
    let applied = world.apply(delete);
    assert_eq!(applied.reply, Ok(NamingReply::Updated(vec![first.into(), second.into()])));
    assert_eq!(applied.rows.len(), 2);
    assert_eq!(seen(&world, &service).2, pairs(&[("b", "2")]));
    let nowhere = NamingCommand::UpdateInstanceMetadata {
        service: key("none"),
        consistency: Consistency::Any,
        instances: Vec::new(),
        metadata: Metadata::new(),
    };
    assert_eq!(world.apply(nowhere).reply, Ok(NamingReply::Updated(Vec::new())));
}

#[test]
fn operators_keys_only_leave_the_operators_layer() {
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, Instance { metadata: metadata(&[("v", "1")]), ..instance("10.0.0.1", 80) });
    let _ = world.apply(NamingCommand::DeleteInstanceMetadata {
        service: service.clone(),
        consistency: Consistency::Any,
        instances: Vec::new(),
        keys: vec!["v".into()],
    });
    assert_eq!(seen(&world, &service).2, pairs(&[("v", "1")]));
}

#[test]
fn a_record_outlives_its_instance_for_60_s_and_is_dropped_by_command() {
    let mut world = World::new();
    let service = key("s");
    let keeper = world.connect("1_k_1");
    let _ = world.grpc(&keeper, &service, instance("10.0.0.7", 80));
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let _ = world.done(update(&service, 1.0, false, &[]));
    let _ = world.naming.deregister_http(&service, "10.0.0.1", 80, world.now);
    assert!(world.pass(55_000).propose.is_empty());
    let _ = world.http(&service, instance("10.0.0.1", 80));
    assert!(!seen(&world, &service).1, "back in time: still disabled");
    let _ = world.naming.deregister_http(&service, "10.0.0.1", 80, world.now);
    let effects = world.pass(61_000);
    let [expire] = &effects.propose[..] else { panic!("{:?}", effects.propose) };
    let (_, rows) = world.done(expire.clone());
    assert_eq!((rows.len(), rows[0].value.is_none()), (1, true));
    let _ = world.http(&service, instance("10.0.0.1", 80));
    assert!(seen(&world, &service).1, "registered anew: enabled");
}

#[test]
fn an_expiry_that_comes_too_late_is_decided_when_applied() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let _ = world.done(update(&service, 1.0, false, &[]));
    let _ = world.naming.deregister_http(&service, "10.0.0.1", 80, world.now);
    let effects = world.pass(61_000);
    let expire = effects.propose.iter().find(|c| matches!(c, NamingCommand::ExpireInstanceMetadata { .. }));
    let expire = expire.expect("proposed").clone();
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let (effects, rows) = world.done(expire);
    assert!(effects.is_empty() && rows.is_empty());
    assert!(!seen(&world, &service).1, "the instance came back first");
}

#[test]
fn a_proposal_that_was_lost_is_made_again() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let _ = world.done(update(&service, 1.0, false, &[]));
    let _ = world.naming.deregister_http(&service, "10.0.0.1", 80, world.now);
    assert_eq!(world.pass(61_000).propose.len(), 1);
    let later = world.pass(61_000);
    let records = later.propose.iter().filter(|c| matches!(c, NamingCommand::ExpireInstanceMetadata { .. }));
    assert_eq!(records.count(), 1);
}

#[test]
fn disabling_a_silent_instance_does_not_keep_it() {
    // C007
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let _ = world.pass(16_000);
    let _ = world.done(update(&service, 1.0, false, &[]));
    let _ = world.pass(15_000);
    assert!(world.naming.snapshot(&service).expect("exists").instances.is_empty());
    let effects = world.pass(65_000);
    for command in effects.propose {
        let _ = world.done(command);
    }
    let _ = world.http(&service, instance("10.0.0.1", 80));
    assert!(seen(&world, &service).1);
}

#[test]
fn the_record_of_an_address_that_another_client_publishes_does_not_age() {
    let mut world = World::new();
    let service = key("s");
    let client = world.connect("1_a_1");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let _ = world.grpc(&client, &service, instance("10.0.0.1", 80));
    let _ = world.done(update(&service, 1.0, false, &[]));
    let _ = world.naming.deregister_http(&service, "10.0.0.1", 80, world.now);
    assert!(world.pass(70_000).propose.is_empty());
    assert!(!seen(&world, &service).1);
}

#[test]
fn operators_timers_are_in_force_at_once() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let short = [
        ("preserved.heart.beat.interval", "1000"),
        ("preserved.heart.beat.timeout", "2000"),
        ("preserved.ip.delete.timeout", "4000"),
    ];
    let _ = world.done(update(&service, 1.0, true, &short));
    assert_eq!(world.light(&service, "10.0.0.1", 80).0.client_beat_interval, 1000);
    let _ = world.pass(2_200);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    let _ = world.pass(2_000);
    assert!(world.hosts(&service).is_empty());
}

#[test]
fn enable_client_beat_switches_checks_off_and_the_operator_may_overrule_it() {
    let mut world = World::new();
    let service = key("s");
    let client_off = Instance { metadata: metadata(&[("enableClientBeat", "true")]), ..instance("10.0.0.1", 80) };
    let _ = world.http(&service, client_off);
    let _ = world.pass(60_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
    let _ = world.done(update(&service, 1.0, true, &[("enableClientBeat", "false")]));
    let _ = world.pass(6_000);
    assert!(world.hosts(&service).is_empty(), "silent for a minute");
}

#[test]
fn manual_health_is_answered_as_recorded() {
    let world = World::new();
    let (p, e) = (key("p"), key("e"));
    let none = ClusterMetadata { health_checker: HealthChecker::None, ..Default::default() };
    for (service, ephemeral) in [(&p, false), (&e, true)] {
        world.create(service, ephemeral, 0.0);
        let command =
            NamingCommand::UpdateCluster { service: service.clone(), cluster: "CN".into(), metadata: none.clone() };
        let _ = world.done(command);
    }
    let persistent = Instance { cluster: "CN".into(), ..instance("10.0.0.1", 80) };
    let _ = world.done(NamingCommand::RegisterPersistent { service: p.clone(), instance: persistent });
    let text =
        |result: Result<(), nacre_model::NacosError>| result.map_err(|error| (error.status, error.client_text()));
    let set = |service: &ServiceKey, ip: &str, cluster: &str| text(world.naming.set_health(service, ip, 80, cluster));
    let refused =
        "errCode: 400, errMsg: Current service G@@p is persistent service, can't register ephemeral instance. ";
    assert_eq!(set(&p, "10.0.0.1", "CN"), Err((400, refused.to_owned())));
    assert_eq!(set(&p, "10.0.0.9", "CN"), Ok(()));
    assert_eq!(set(&e, "10.0.0.1", "CN"), Ok(()));
    let working = "health check is still working, service: G@@p, cluster: ZZ";
    assert_eq!(set(&p, "10.0.0.1", "ZZ"), Err((400, working.to_owned())));
    assert!(set(&key("none"), "10.0.0.1", "CN").is_err());
    assert_eq!(world.hosts(&p), ["10.0.0.1:80/true"]);
}
