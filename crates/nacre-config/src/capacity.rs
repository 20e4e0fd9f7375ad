//! Capacity rows of `group_capacity` and `tenant_capacity`, and what they come to.

use crate::{CapacityRules, CapacityScope};

/// One row. Usage is not kept: the index counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapacityRow {
    pub id: u64,
    pub scope: CapacityScope,
    /// 0 means the default; negative values are kept as given (the reference takes them).
    pub quota: i32,
    /// Bytes; 0 means the default.
    pub max_size: i32,
    pub max_aggr_count: i32,
    pub max_aggr_size: i32,
    /// Milliseconds.
    pub created: i64,
    pub modified: i64,
}

pub const DEFAULT_MAX_AGGR_COUNT: i32 = 10_000;
pub const DEFAULT_MAX_AGGR_SIZE: i32 = 1_024;

/// A row as the capacity API shows it: zeros replaced by the defaults, with the real usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapacityView {
    pub id: u64,
    pub scope: CapacityScope,
    pub quota: i32,
    pub usage: u64,
    pub max_size: i32,
    pub max_aggr_count: i32,
    pub max_aggr_size: i32,
}

impl CapacityRow {
    pub fn view(&self, usage: u64, rules: &CapacityRules) -> CapacityView {
        let or = |value: i32, default: i32| if value == 0 { default } else { value };
        CapacityView {
            id: self.id,
            scope: self.scope.clone(),
            quota: or(self.quota, default_quota(&self.scope, rules)),
            usage,
            max_size: or(self.max_size, clamp(rules.max_size)),
            max_aggr_count: or(self.max_aggr_count, DEFAULT_MAX_AGGR_COUNT),
            max_aggr_size: or(self.max_aggr_size, DEFAULT_MAX_AGGR_SIZE),
        }
    }
}

pub(crate) fn default_quota(scope: &CapacityScope, rules: &CapacityRules) -> i32 {
    clamp(match scope {
        CapacityScope::Cluster => rules.cluster_quota,
        CapacityScope::Group(_) => rules.group_quota,
        CapacityScope::Tenant(_) => rules.tenant_quota,
    })
}

pub(crate) fn clamp(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
