use super::*;

/// A registry with one persistent instance, its checks, and a way to answer probes.
struct Bench {
    world: World,
    checks: HealthChecks,
    service: ServiceKey,
}

impl Bench {
    fn new(checker: &str) -> Self {
        let world = World::new();
        let service = key("p");
        world.create(&service, false, 0.0);
        let bench = Self { world, checks: HealthChecks::default(), service };
        bench.set_checker(checker, 81, true);
        bench.register(80, true);
        bench
    }

    fn set_checker(&self, checker: &str, check_port: i32, use_instance_port: bool) {
        let health_checker = HealthChecker::parse(&format!(r#"{{"type":"{checker}"}}"#)).expect("checker");
        let metadata = ClusterMetadata { health_checker, check_port, use_instance_port, ..Default::default() };
        let (service, cluster) = (self.service.clone(), "DEFAULT".into());
        let _ = self.world.done(NamingCommand::UpdateCluster { service, cluster, metadata });
    }

    fn register(&self, port: i32, healthy: bool) {
        let instance = Instance { healthy, ..instance("10.0.0.1", port) };
        let _ = self.world.done(NamingCommand::RegisterPersistent { service: self.service.clone(), instance });
    }

    fn id(&self) -> TargetId {
        TargetId { service: self.service.clone(), ip: "10.0.0.1".into(), port: 80 }
    }

    fn due(&mut self) -> Vec<Probe> {
        self.checks.due(&self.world.naming, &mut |_| 0, self.world.now)
    }

    /// The first probes of new targets: they are left alone for a while.
    fn first(&mut self) -> Vec<Probe> {
        assert!(self.due().is_empty());
        self.world.now = self.world.now.plus(1_999);
        assert!(self.due().is_empty());
        self.world.now = self.world.now.plus(1);
        self.due()
    }

    /// Waits for the next probe and answers it; the milliseconds waited.
    fn probe(&mut self, outcome: &ProbeOutcome, round_trip: u64) -> u64 {
        let mut waited = 0;
        loop {
            if !self.due().is_empty() {
                let id = self.id();
                if let Some(command) = self.checks.finish(&self.world.naming, &id, outcome, round_trip, self.world.now)
                {
                    let _ = self.world.done(command);
                }
                return waited;
            }
            self.world.now = self.world.now.plus(50);
            waited += 50;
            assert!(waited < 20_000, "no probe for 20 s");
        }
    }

    fn healthy(&self) -> bool {
        self.world.naming.persistent_health(&self.id()).expect("there")
    }
}

#[test]
fn a_new_instance_is_probed_after_two_seconds_and_then_at_its_pace() {
    let mut bench = Bench::new("TCP");
    let probes = bench.first();
    assert_eq!(probes.len(), 1);
    assert_eq!((probes[0].port, probes[0].connect_timeout_ms, &probes[0].checker), (80, 500, &HealthChecker::Tcp));
    assert!(bench.due().is_empty());
    let id = bench.id();
    assert_eq!(bench.checks.finish(&bench.world.naming, &id, &ProbeOutcome::Connected, 0, bench.world.now), None);
    // 0.75 * 2000, then down to the minimum.
    let waits: Vec<u64> = (0..4).map(|_| bench.probe(&ProbeOutcome::Connected, 0)).collect();
    assert_eq!(waits, [1_500, 1_150, 1_000, 1_000]);
    assert_eq!(bench.checks.state(&id).expect("known").last, "tcp:ok+");
}

#[test]
fn three_time_outs_in_a_row_turn_unhealthy_and_three_answers_back() {
    let mut bench = Bench::new("TCP");
    for outcome in [ProbeOutcome::TimedOut, ProbeOutcome::TimedOut, ProbeOutcome::Connected] {
        bench.probe(&outcome, 500);
    }
    for _ in 0..2 {
        bench.probe(&ProbeOutcome::TimedOut, 500);
        assert!(bench.healthy(), "an answer between starts the count anew");
    }
    bench.probe(&ProbeOutcome::TimedOut, 500);
    assert!(!bench.healthy());
    for _ in 0..2 {
        bench.probe(&ProbeOutcome::Connected, 1);
        assert!(!bench.healthy());
    }
    bench.probe(&ProbeOutcome::Connected, 1);
    assert!(bench.healthy());
}

#[test]
fn a_refused_connection_turns_unhealthy_at_once() {
    let mut bench = Bench::new("TCP");
    bench.probe(&ProbeOutcome::Unreachable("refused".into()), 1);
    assert!(!bench.healthy());
    let id = bench.id();
    assert_eq!(bench.checks.state(&id).expect("known").last, "tcp:unable2connect:refused");
}

#[test]
fn hard_failures_and_time_outs_slow_checks_down() {
    let mut bench = Bench::new("TCP");
    let interval = |bench: &Bench| bench.checks.state(&bench.id()).expect("known").interval_ms;
    bench.probe(&ProbeOutcome::TimedOut, 500);
    assert_eq!(interval(&bench), 2_500, "0.75 * 2000 + 0.25 * 4000");
    bench.probe(&ProbeOutcome::Unreachable(String::new()), 1);
    assert_eq!(interval(&bench), 3_125, "towards the maximum of 5000");
    for _ in 0..40 {
        bench.probe(&ProbeOutcome::Unreachable(String::new()), 1);
    }
    assert!((4_990..=5_000).contains(&interval(&bench)));
}

#[test]
fn a_probe_that_this_server_could_not_make_says_nothing() {
    // C087: out of file handles ourselves.
    let mut bench = Bench::new("TCP");
    for _ in 0..20 {
        bench.probe(&ProbeOutcome::NotMade, 1);
    }
    assert!(bench.healthy());
    bench.probe(&ProbeOutcome::Unreachable("refused".into()), 1);
    assert!(!bench.healthy());
}

#[test]
fn a_probe_that_does_not_come_back_is_not_repeated() {
    let mut bench = Bench::new("TCP");
    assert_eq!(bench.first().len(), 1);
    for _ in 0..200 {
        bench.world.now = bench.world.now.plus(100);
        assert!(bench.due().is_empty());
    }
    let id = bench.id();
    assert_eq!(bench.checks.state(&id).expect("known").interval_ms, 5_000, "as slow as can be");
    let _ = bench.checks.finish(&bench.world.naming, &id, &ProbeOutcome::Connected, 1, bench.world.now);
    bench.probe(&ProbeOutcome::Connected, 1);
}

#[test]
fn http_answers_mean_what_the_reference_says() {
    for (outcome, at_once, after_three) in [
        (ProbeOutcome::Status(200), true, true),
        (ProbeOutcome::Status(503), true, false),
        (ProbeOutcome::Status(302), true, false),
        (ProbeOutcome::Status(404), false, false),
        (ProbeOutcome::Status(500), false, false),
        (ProbeOutcome::Status(204), false, false),
        (ProbeOutcome::Unreachable("x".into()), false, false),
        (ProbeOutcome::TimedOut, true, false),
        (ProbeOutcome::Failed("x".into()), true, false),
    ] {
        let mut bench = Bench::new("HTTP");
        bench.probe(&outcome, 1);
        assert_eq!(bench.healthy(), at_once, "{outcome:?} once");
        bench.probe(&outcome, 1);
        bench.probe(&outcome, 1);
        assert_eq!(bench.healthy(), after_three, "{outcome:?} three times");
    }
}

#[test]
fn an_expected_code_other_than_200_is_healthy_too() {
    let mut bench = Bench::new("TCP");
    let health_checker = HealthChecker::Http { path: "/h".into(), headers: String::new(), expected_response_code: 204 };
    let metadata = ClusterMetadata { health_checker, ..Default::default() };
    let (service, cluster) = (bench.service.clone(), "DEFAULT".into());
    let _ = bench.world.done(NamingCommand::UpdateCluster { service, cluster, metadata });
    bench.probe(&ProbeOutcome::Status(204), 1);
    assert!(bench.healthy());
    bench.probe(&ProbeOutcome::Status(200), 1);
    assert!(bench.healthy());
    bench.probe(&ProbeOutcome::Status(404), 1);
    assert!(!bench.healthy());
}

#[test]
fn mysql_answers_mean_what_the_reference_says() {
    for (outcome, at_once, after_three, reason) in [
        (ProbeOutcome::Queried { read_only: false }, true, true, "mysql:+ok"),
        (ProbeOutcome::Queried { read_only: true }, true, false, "mysql:error:current node is slave!"),
        (ProbeOutcome::TimedOut, true, false, "mysql:timeout:"),
        (ProbeOutcome::SqlError("denied".into()), false, false, "mysql:denied"),
        (ProbeOutcome::Failed("x".into()), true, false, "mysql:error:x"),
    ] {
        let mut bench = Bench::new("MYSQL");
        bench.probe(&outcome, 1);
        assert_eq!(bench.healthy(), at_once, "{outcome:?} once");
        bench.probe(&outcome, 1);
        bench.probe(&outcome, 1);
        assert_eq!(bench.healthy(), after_three, "{outcome:?} three times");
        assert_eq!(bench.checks.state(&bench.id()).expect("known").last, reason);
    }
}

#[test]
fn a_cluster_without_checker_is_left_alone_until_it_has_one() {
    let mut bench = Bench::new("NONE");
    for _ in 0..100 {
        assert!(bench.due().is_empty());
        bench.world.now = bench.world.now.plus(100);
    }
    bench.set_checker("TCP", 9_000, false);
    let mut port = None;
    for _ in 0..100 {
        bench.world.now = bench.world.now.plus(100);
        port = port.or(bench.due().first().map(|probe| probe.port));
    }
    assert_eq!(port, Some(9_000), "the cluster's check port");
}

#[test]
fn with_checks_switched_off_nobody_is_probed_or_changed() {
    let mut bench = Bench::new("TCP");
    assert_eq!(bench.first().len(), 1);
    let set = |bench: &Bench, value: &str| {
        let _ = bench.world.done(NamingCommand::SetSwitch { entry: "check".into(), value: value.into() });
    };
    set(&bench, "false");
    let id = bench.id();
    let late = ProbeOutcome::Unreachable(String::new());
    assert_eq!(bench.checks.finish(&bench.world.naming, &id, &late, 1, bench.world.now), None);
    for _ in 0..100 {
        bench.world.now = bench.world.now.plus(100);
        assert!(bench.due().is_empty());
    }
    set(&bench, "true");
    bench.probe(&late, 1);
    assert!(!bench.healthy());
}

#[test]
fn the_number_of_checks_is_a_switch() {
    let mut bench = Bench::new("TCP");
    let _ = bench.world.done(NamingCommand::SetSwitch { entry: "healthCheckTimes".into(), value: "1".into() });
    bench.probe(&ProbeOutcome::TimedOut, 1);
    assert!(!bench.healthy());
    bench.probe(&ProbeOutcome::Connected, 1);
    assert!(bench.healthy());
}

#[test]
fn targets_follow_the_registry() {
    let mut bench = Bench::new("TCP");
    bench.register(90, false);
    assert_eq!(bench.first().len(), 2);
    let gone = NamingCommand::DeregisterPersistent { service: bench.service.clone(), ip: "10.0.0.1".into(), port: 90 };
    let _ = bench.world.done(gone);
    let _ = bench.due();
    assert_eq!(bench.checks.len(), 1);
    let other = TargetId { port: 90, ..bench.id() };
    let late = bench.checks.finish(&bench.world.naming, &other, &ProbeOutcome::Connected, 1, bench.world.now);
    assert_eq!(late, None, "the answer of a probe of somebody who left");
    let _ = bench.world.http(&key("e"), instance("10.0.0.1", 1));
    let _ = bench.due();
    assert_eq!(bench.checks.len(), 1, "ephemeral instances are not checked");
}

#[test]
fn a_restart_does_not_probe_all_in_step() {
    let world = World::new();
    for port in 0..100 {
        let instance = instance("10.0.0.1", port);
        let _ = world.done(NamingCommand::RegisterPersistent { service: key("p"), instance });
    }
    let mut checks = HealthChecks::default();
    let mut seed = 7_u64;
    let mut random = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let mut probed = Vec::new();
    for waited in 0..70 {
        let now = world.now.plus(waited * 100);
        probed.extend(checks.due(&world.naming, &mut random, now).into_iter().map(|probe| (waited, probe.target)));
    }
    let moments: std::collections::BTreeSet<u64> = probed.iter().map(|(waited, _)| *waited).collect();
    assert_eq!(probed.len(), 100, "each once: no probe has come back");
    assert!(moments.len() > 20 && moments.iter().all(|waited| *waited >= 20), "{moments:?}");
}
