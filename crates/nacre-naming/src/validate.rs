//! Rules about instances that are checked where they are registered or updated.

use nacre_model::{ErrorCode, Instance, NacosError, instance::has_preserved};

/// 0.0..=10000.0 over HTTP v1 registration and update, v2 and v3; gRPC, beats and PATCH do not check (Nacos 2.5.1).
pub fn check_weight(weight: f64) -> Result<(), NacosError> {
    if (0.0..=10_000.0).contains(&weight) {
        return Ok(());
    }
    let text = "instance format invalid: The weights range from 0.0 to 10000.0";
    Err(NacosError::new(400, ErrorCode::WEIGHT_ERROR, text))
}

/// The check of every register and update path: timers that contradict each other, then the cluster's name.
pub fn check_instance(instance: &Instance) -> Result<(), NacosError> {
    let interval = || instance.beat_interval_ms();
    let contradictory = || instance.beat_timeout_ms() < interval() || instance.delete_timeout_ms() < interval();
    // The defaults do not contradict each other.
    if has_preserved(&instance.metadata) && contradictory() {
        let text = "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.";
        return Err(NacosError::new(400, ErrorCode::INSTANCE_ERROR, text));
    }
    check_cluster(&instance.cluster)
}

/// Letters, digits and `-` if set.
pub fn check_cluster(cluster: &str) -> Result<(), NacosError> {
    if cluster.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Ok(());
    }
    let text = format!("Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: {cluster})");
    Err(NacosError::new(400, ErrorCode::INSTANCE_ERROR, text))
}
