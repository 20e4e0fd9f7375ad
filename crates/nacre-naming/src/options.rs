//! Settings of the core that come from properties. Everything has the reference's default.

/// All durations in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `nacos.naming.expireInstance`: beat expiry removes instances.
    pub expire_instance: bool,
    /// `nacos.naming.client.expired.time`: silent `ip:port` clients are removed.
    pub client_expired_ms: u64,
    /// `nacos.naming.empty-service.auto-clean`: without it an empty service stays for ever.
    pub clean_empty_services: bool,
    /// `nacos.naming.clean.empty-service.expired-time`.
    pub empty_service_expired_ms: u64,
    /// `nacos.naming.clean.expired-metadata.expired-time`.
    pub expired_metadata_ms: u64,
    /// `nacos.naming.fuzzy.watch.max.pattern.count`.
    pub fuzzy_max_patterns: usize,
    /// `nacos.naming.fuzzy.watch.max.pattern.match.service.count`.
    pub fuzzy_max_matches: usize,
    /// `nacre.naming.protection.threshold-zero-masks`: with `true` (as Nacos) a service with metadata and threshold 0
    /// whose instances are all unhealthy shows them as healthy; `false` switches masking off for thresholds <= 0.
    pub protection_zero_masks: bool,
    /// The brake on mass expiry.
    pub brake: BrakeOptions,
    /// Worker id of snowflake instance ids (`nacos.core.snowflake.worker-id`), its low 10 bits are used.
    pub snowflake_worker: u16,
    /// Registered instances of the whole server (`nacre.limit.instances`).
    pub max_instances: u64,
    /// UDP subscribers of the whole server (`nacre.limit.udp-subscribers`).
    pub max_udp_subscribers: u64,
    /// Publications and subscriptions of one client (`nacre.limit.services-per-client`).
    pub max_services_per_client: usize,
}

/// Removals of one service pause when an implausible share of it fell silent within a short window: that is far more
/// often a fault between the clients and us than the death of all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct BrakeOptions {
    /// `nacre.naming.brake.enabled`.
    pub enabled: bool,
    /// Services with fewer instances are never held (1 to 3 dead instances are the normal case).
    pub min_instances: u32,
    /// Share of a service's instances that may fall silent within `window_ms` of each other before the brake goes on.
    pub share: f64,
    /// At least the beat interval: beats that fail at one moment were sent up to one interval apart.
    pub window_ms: u64,
    /// The longest pause; then removals go on whatever happened.
    pub hold_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            expire_instance: true,
            client_expired_ms: 180_000,
            clean_empty_services: true,
            empty_service_expired_ms: 60_000,
            expired_metadata_ms: 60_000,
            fuzzy_max_patterns: nacre_model::limits::FUZZY_PATTERNS as usize,
            fuzzy_max_matches: nacre_model::limits::FUZZY_MATCHES as usize,
            protection_zero_masks: true,
            brake: BrakeOptions::default(),
            snowflake_worker: 0,
            max_instances: nacre_model::limits::INSTANCES,
            max_udp_subscribers: nacre_model::limits::UDP_SUBSCRIBERS,
            max_services_per_client: nacre_model::limits::SERVICES_PER_CLIENT as usize,
        }
    }
}

impl Default for BrakeOptions {
    fn default() -> Self {
        Self { enabled: true, min_instances: 10, share: 0.8, window_ms: 6_000, hold_ms: 30_000 }
    }
}
