//! Settings of the cores, made from properties.

use nacre_cluster::{Config as LogConfig, Recovery};
use nacre_config::{CapacityRules, Rules};
use nacre_naming::{BrakeOptions, Options as NamingOptions};

use super::Properties;

impl Properties {
    /// Settings of the naming core.
    pub fn naming(&self) -> NamingOptions {
        NamingOptions {
            expire_instance: self.bool("nacos.naming.expireInstance"),
            client_expired_ms: self.millis("nacos.naming.client.expired.time"),
            clean_empty_services: self.bool("nacos.naming.empty-service.auto-clean"),
            empty_service_expired_ms: self.millis("nacos.naming.clean.empty-service.expired-time"),
            expired_metadata_ms: self.millis("nacos.naming.clean.expired-metadata.expired-time"),
            fuzzy_max_patterns: self.usize("nacos.naming.fuzzy.watch.max.pattern.count"),
            fuzzy_max_matches: self.usize("nacos.naming.fuzzy.watch.max.pattern.match.service.count"),
            protection_zero_masks: self.bool("nacre.naming.protection.threshold-zero-masks"),
            brake: BrakeOptions {
                enabled: self.bool("nacre.naming.brake.enabled"),
                min_instances: u32::try_from(self.u64("nacre.naming.brake.min-instances")).unwrap_or(u32::MAX),
                share: self.u64("nacre.naming.brake.percent") as f64 / 100.0,
                window_ms: self.millis("nacre.naming.brake.window"),
                hold_ms: self.millis("nacre.naming.brake.hold"),
            },
            snowflake_worker: u16::try_from(self.i64("nacos.core.snowflake.worker-id")).unwrap_or(0),
            max_instances: self.u64("nacre.limit.instances"),
            max_udp_subscribers: self.u64("nacre.limit.udp-subscribers"),
            max_services_per_client: self.usize("nacre.limit.services-per-client"),
        }
    }

    /// Bounds of the journal in memory.
    pub fn journal(&self) -> nacre_journal::Limits {
        nacre_journal::Limits { bytes: self.usize("nacre.journal.memory"), ..Default::default() }
    }

    /// Bounds of the journal on disk, `HOME/data/journal`; `None` when it is not kept there.
    pub fn journal_disk(&self) -> Option<nacre_journal::DiskOptions> {
        self.bool("nacre.journal.disk.enabled").then(|| nacre_journal::DiskOptions {
            bytes: self.u64("nacre.journal.disk.bytes"),
            age_ms: i64::try_from(self.millis("nacre.journal.disk.age")).unwrap_or(i64::MAX),
            ..nacre_journal::DiskOptions::new(self.data_dir().join("journal"))
        })
    }

    /// Settings of config fuzzy watch.
    pub fn config_fuzzy(&self) -> nacre_config::FuzzySettings {
        nacre_config::FuzzySettings {
            max_patterns: self.usize("nacos.config.fuzzy.watch.max.pattern.count"),
            max_matches: self.usize("nacos.config.fuzzy.watch.max.pattern.match.config.count"),
            batch: self.usize("nacos.config.push.batchSize").max(1),
        }
    }

    /// What publishes are decided by.
    pub fn config_rules(&self) -> Rules {
        Rules {
            gray_max: self.u32("nacos.config.gray.version.max.count"),
            capacity: self.bool("isCapacityLimitCheck").then(|| self.capacity_rules()),
            namespace_must_exist: self.bool("nacos.core.namespace.validation.enabled"),
        }
    }

    /// Defaults of capacities, whether they are enforced or not.
    pub fn capacity_rules(&self) -> CapacityRules {
        CapacityRules {
            cluster_quota: self.u32("defaultClusterQuota"),
            tenant_quota: self.u32("defaultTenantQuota"),
            group_quota: self.u32("defaultGroupQuota"),
            max_size: self.u32("defaultMaxSize"),
            initial_expansion_percent: self.u32("initialExpansionPercent"),
        }
    }

    fn u32(&self, key: &str) -> u32 {
        u32::try_from(self.u64(key)).unwrap_or(u32::MAX)
    }

    /// Settings of the write road; its log lives in `HOME/data/log`.
    pub fn write_road(&self) -> LogConfig {
        LogConfig {
            queue_writes: self.usize("nacre.limit.write-queue"),
            queue_bytes: self.usize("nacre.limit.write-queue-bytes"),
            checkpoint_entries: self.u64("nacre.log.checkpoint-entries"),
            checkpoint_bytes: self.u64("nacre.log.checkpoint-bytes"),
            slow_fsync: self.duration("nacre.log.slow-fsync"),
            recovery: match self.str("nacre.log.recovery") {
                "accept-loss" => Recovery::AcceptLoss,
                _ => Recovery::Strict,
            },
            ..LogConfig::new(self.data_dir().join("log"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_the_table_are_the_defaults_of_the_cores() {
        let properties = Properties::of(&[]).unwrap();
        assert_eq!(properties.naming(), NamingOptions::default());
        assert_eq!(properties.config_rules(), Rules::default());
        let disk = properties.journal_disk().unwrap();
        assert_eq!(disk, nacre_journal::DiskOptions::new(&disk.dir));
        let road = properties.write_road();
        let own = LogConfig::new(&road.dir);
        assert_eq!(format!("{road:?}"), format!("{own:?}"));
    }

    #[test]
    fn settings_reach_the_cores() {
        let properties = Properties::of(&[
            ("nacos.naming.expireInstance", "false"),
            ("nacre.naming.brake.percent", "60"),
            ("nacre.log.recovery", "accept-loss"),
        ])
        .unwrap();
        assert!(!properties.naming().expire_instance);
        assert!((properties.naming().brake.share - 0.6).abs() < 1e-9);
        assert_eq!(properties.write_road().recovery, Recovery::AcceptLoss);
    }
}
