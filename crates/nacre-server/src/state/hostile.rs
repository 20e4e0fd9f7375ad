//! Commands nobody sane would send, thousands of them, with restarts in between. A command that panics a core, cannot be
//! stored or cannot be loaded again would stop the server at that entry for ever, so none may exist.

use nacre_config::{
    CapacityScope, CloneConfigs, CloneItem, ConfigMeta, ConflictPolicy, GrayTarget, Import, ImportItem, NamespaceForm,
    Publish, PurgeHistory, Remove, RemoveIds, RemoveTarget, SetCapacity, Source, UpdateMetadata,
};
use nacre_model::{ConfigKey, Instance, Metadata, ServiceKey};
use nacre_naming::{ClusterMetadata, Consistency, HealthChecker, InstanceRef, Selector, ServiceMetadata};

use super::{tests::Bench, *};

/// A small generator: the same seed gives the same commands.
struct Dice {
    state: u64,
    /// Few different words, so that keys meet; otherwise many strange ones.
    narrow: bool,
}

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % bound
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.flag() { Some(make(self)) } else { None }
    }

    fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    fn text(&mut self) -> String {
        if self.narrow {
            return self.pick(&["", " ", "a", "A", "a ", "public", "beta"]).to_owned();
        }
        let all = [
            "",
            " ",
            "a",
            "A",
            "a ",
            "public",
            "DEFAULT_GROUP",
            "g@@a",
            "@@",
            "#",
            ",",
            "配置",
            "é",
            "e\u{301}",
            "a\0b",
            "\u{1}\u{2}",
            "'; drop table config_info; --",
            "%",
            "_",
            "\"{[",
            "null",
            "🦀",
            "1.1.1.1",
            "::1",
            "tag_a",
            "beta",
            "NaN",
            "-1",
            "99999999999999999999",
            "true",
        ];
        match self.below(40) {
            0 => "x".repeat(400),
            1 => "漢".repeat(150),
            _ => self.pick(&all).to_owned(),
        }
    }

    fn arc(&mut self) -> Arc<str> {
        self.text().into()
    }

    fn int(&mut self) -> i32 {
        self.pick(&[0, 1, -1, 80, 65_535, 65_536, i32::MAX, i32::MIN])
    }

    fn float(&mut self) -> f64 {
        self.pick(&[
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            1e308,
            -1e308,
            5e-324,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            10_000.0,
        ])
    }

    fn map(&mut self) -> Metadata {
        self.some(3, |dice| (dice.arc(), dice.arc())).into_iter().collect()
    }

    fn config_key(&mut self) -> ConfigKey {
        ConfigKey::new(&self.text(), &self.text(), &self.text())
    }

    fn service(&mut self) -> ServiceKey {
        ServiceKey::new(&self.text(), &self.text(), &self.text())
    }

    fn instance_ref(&mut self) -> InstanceRef {
        InstanceRef { ip: self.arc(), port: self.int(), cluster: self.arc() }
    }

    fn instance(&mut self) -> Instance {
        Instance {
            weight: self.float(),
            healthy: self.flag(),
            enabled: self.flag(),
            ephemeral: self.flag(),
            cluster: self.arc(),
            metadata: Arc::new(self.map()),
            ..Instance::new(&self.text(), self.int())
        }
    }

    /// As the adapters read them: trimmed, without duplicates.
    fn tags(&mut self) -> Vec<Arc<str>> {
        nacre_config::command::split_tags(&self.some(3, Self::text).join(","))
    }

    fn meta(&mut self) -> ConfigMeta {
        ConfigMeta {
            config_type: self.maybe(Self::arc),
            app_name: self.arc(),
            desc: self.maybe(Self::arc),
            r#use: self.maybe(Self::arc),
            effect: self.maybe(Self::arc),
            schema: self.maybe(Self::arc),
            tags: self.tags(),
        }
    }

    fn gray(&mut self) -> GrayTarget {
        match self.below(3) {
            0 => GrayTarget::Beta { ips: self.text() },
            1 => GrayTarget::Tag { tag: self.text() },
            _ => GrayTarget::Rule {
                name: self.text(),
                kind: self.text(),
                version: self.text(),
                expr: self.text(),
                priority: self.int(),
            },
        }
    }

    fn source(&mut self) -> Source {
        Source { user: self.maybe(Self::arc), ip: self.arc() }
    }

    fn policy(&mut self) -> ConflictPolicy {
        self.pick(&[ConflictPolicy::Abort, ConflictPolicy::Skip, ConflictPolicy::Overwrite])
    }

    fn namespace(&mut self) -> NamespaceForm {
        NamespaceForm { id: self.arc(), name: self.arc(), desc: self.maybe(Self::arc) }
    }

    fn config(&mut self) -> ConfigCommand {
        match self.below(14) {
            0..4 => ConfigCommand::Publish(Box::new(Publish {
                cas_md5: self.maybe(Self::text),
                gray: self.maybe(Self::gray),
                meta: self.meta(),
                replace_tags: self.flag(),
                replace_app: self.flag(),
                encrypted_data_key: self.arc(),
                source: self.source(),
                only_if_absent: self.flag(),
                ..Publish::new(self.config_key(), self.text())
            })),
            4 => ConfigCommand::Remove(Remove {
                key: self.config_key(),
                target: match self.below(4) {
                    0 => RemoveTarget::Formal,
                    1 => RemoveTarget::Beta,
                    2 => RemoveTarget::Tag { tag: self.text() },
                    _ => RemoveTarget::Gray { name: self.text() },
                },
                source: self.source(),
            }),
            5 => {
                let ids = self.some(3, |dice| dice.pick(&[0, 1, 2, u64::MAX, i64::MAX as u64]));
                ConfigCommand::RemoveIds(RemoveIds { ids, source: self.source() })
            }
            6 => ConfigCommand::Import(Import {
                items: self.some(4, |dice| ImportItem {
                    key: dice.config_key(),
                    content: dice.arc(),
                    meta: dice.meta(),
                    replace_tags: dice.flag(),
                    replace_app: dice.flag(),
                    encrypted_data_key: dice.arc(),
                }),
                policy: self.policy(),
                source: self.source(),
                ..Import::default()
            }),
            7 => ConfigCommand::Clone(CloneConfigs {
                items: self.some(3, |dice| CloneItem {
                    id: dice.below(50) as u64,
                    data_id: dice.text(),
                    group: dice.text(),
                }),
                namespace: self.arc(),
                policy: self.policy(),
                source: self.source(),
                rules: Default::default(),
            }),
            8 => ConfigCommand::UpdateMetadata(UpdateMetadata {
                key: self.config_key(),
                desc: self.maybe(Self::arc),
                tags: self.maybe(Self::tags),
                source: self.source(),
            }),
            9 => ConfigCommand::CreateNamespace(self.namespace()),
            10 => ConfigCommand::UpdateNamespace(self.namespace()),
            11 => ConfigCommand::DeleteNamespace { id: self.arc() },
            12 => ConfigCommand::SetCapacity(SetCapacity {
                scope: match self.below(3) {
                    0 => CapacityScope::Cluster,
                    1 => CapacityScope::Group(self.arc()),
                    _ => CapacityScope::Tenant(self.arc()),
                },
                quota: self.maybe(Self::int),
                max_size: self.maybe(Self::int),
                max_aggr_count: self.maybe(Self::int),
                max_aggr_size: self.maybe(Self::int),
                defaults: Default::default(),
            }),
            _ => ConfigCommand::PurgeHistory(PurgeHistory {
                before: self.pick(&[0, 1, -1, i64::MIN, 1_650_000_000_000]),
            }),
        }
    }

    fn checker(&mut self) -> HealthChecker {
        match self.below(4) {
            0 => HealthChecker::Tcp,
            1 => HealthChecker::Http { path: self.text(), headers: self.text(), expected_response_code: self.int() },
            2 => HealthChecker::Mysql {
                user: self.maybe(Self::text),
                pwd: self.maybe(Self::text),
                cmd: self.maybe(Self::text),
            },
            _ => HealthChecker::None,
        }
    }

    fn cluster(&mut self) -> ClusterMetadata {
        ClusterMetadata {
            health_checker: self.checker(),
            check_port: self.int(),
            use_instance_port: self.flag(),
            metadata: self.map(),
        }
    }

    fn selector(&mut self) -> Selector {
        if self.flag() {
            return Selector::None;
        }
        Selector::Label { expression: self.text(), labels: self.some(2, Self::text) }
    }

    fn service_metadata(&mut self) -> ServiceMetadata {
        ServiceMetadata {
            ephemeral: self.flag(),
            protect_threshold: self.float(),
            selector: self.selector(),
            metadata: self.map(),
            clusters: self.some(2, |dice| (dice.arc(), dice.cluster())).into_iter().collect(),
        }
    }

    fn consistency(&mut self) -> Consistency {
        self.pick(&[Consistency::Any, Consistency::Ephemeral, Consistency::Persist])
    }

    fn naming(&mut self, service: ServiceKey) -> NamingCommand {
        match self.below(17) {
            0..4 => NamingCommand::RegisterPersistent { service, instance: self.instance() },
            4 => NamingCommand::DeregisterPersistent { service, ip: self.arc(), port: self.int() },
            5 => NamingCommand::ChangeHealth {
                service,
                ip: self.arc(),
                port: self.int(),
                healthy: self.flag(),
                reason: self.text(),
            },
            6 => NamingCommand::CreateService { service, metadata: self.service_metadata() },
            7 => NamingCommand::UpdateService {
                service,
                protect_threshold: self.float(),
                selector: self.selector(),
                metadata: self.map(),
            },
            8 => NamingCommand::DeleteService { service },
            9 => NamingCommand::UpdateCluster { service, cluster: self.arc(), metadata: self.cluster() },
            10 => NamingCommand::UpdateInstance {
                service,
                instance: self.instance_ref(),
                ephemeral: self.flag(),
                weight: self.float(),
                enabled: self.flag(),
                metadata: self.map(),
            },
            11 => NamingCommand::PatchInstance {
                service,
                instance: self.instance_ref(),
                weight: self.maybe(Self::float),
                enabled: self.maybe(Self::flag),
                metadata: self.maybe(Self::map),
            },
            12 => NamingCommand::UpdateInstanceMetadata {
                service,
                consistency: self.consistency(),
                instances: self.some(2, Self::instance_ref),
                metadata: self.map(),
            },
            13 => NamingCommand::DeleteInstanceMetadata {
                service,
                consistency: self.consistency(),
                instances: self.some(2, Self::instance_ref),
                keys: self.some(2, Self::arc),
            },
            14 => NamingCommand::ExpireInstanceMetadata { service, instance: self.instance_ref() },
            15 => NamingCommand::ExpireServiceMetadata { service },
            _ => {
                let entries =
                    ["pushEnabled", "clientBeatInterval", "defaultPushCacheMillis", "checkTimes", "nonsense", ""];
                NamingCommand::SetSwitch { entry: self.pick(&entries).to_owned(), value: self.text() }
            }
        }
    }

    fn command(&mut self) -> Command {
        if self.flag() {
            return Command::Config(self.config());
        }
        // Few services, so that commands meet.
        let service = match self.below(4) {
            0 => self.service(),
            at => ServiceKey::new("", "g", ["a", "b", "c"][at - 1]),
        };
        Command::Naming(self.naming(service))
    }
}

/// Everything durable that readers can see, as text.
fn state(machine: &Machine) -> Vec<String> {
    let mut all = Vec::new();
    machine.configs.for_each(|item| all.push(format!("{item:?}")));
    for key in machine.naming.service_keys(None, "") {
        let snapshot = machine.naming.snapshot(&key);
        let mut instances: Vec<String> = snapshot
            .iter()
            .flat_map(|snapshot| snapshot.instances.iter().map(|instance| format!("{instance:?}")))
            .collect();
        instances.sort();
        all.push(format!("{key} {:?} {instances:?}", machine.naming.service(&key)));
    }
    all.sort();
    all
}

#[test]
fn hostile_commands_are_answered_stored_and_loaded_again() {
    // More with NACRE_HOSTILE_SEEDS=1000.
    let seeds = std::env::var("NACRE_HOSTILE_SEEDS").map_or(6, |seeds| seeds.parse().unwrap_or(6));
    for seed in 0..seeds {
        let bench = Bench::new();
        let mut dice = Dice { state: seed, narrow: seed % 2 == 1 };
        let mut index = 0;
        for round in 0..10 {
            let (machine, _) = bench.open();
            for _ in 0..40 {
                let commands: Vec<Command> = (0..=dice.below(3)).map(|_| dice.command()).collect();
                let asked = format!("seed {seed}, round {round}, entry {index}: {commands:?}");
                let entry = super::tests::entry(index, &commands);
                let replies = machine.apply(entry).unwrap_or_else(|error| panic!("{asked}: {error}"));
                for reply in replies {
                    Reply::decode(&reply).unwrap_or_else(|error| panic!("{asked}: {error:?}"));
                }
                index += 1;
            }
            machine.checkpoint().unwrap_or_else(|error| panic!("seed {seed}, round {round}: {error}"));
            let before = state(&machine);
            drop(machine);
            let (machine, _) = bench.open();
            let after = state(&machine);
            for (before, after) in before.iter().zip(&after) {
                assert_eq!(before, after, "seed {seed}, round {round}");
            }
            assert_eq!(before.len(), after.len(), "seed {seed}, round {round}");
        }
    }
}
