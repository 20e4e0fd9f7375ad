//! Instance ids (spec/naming.md 2.2).

use std::sync::atomic::Ordering::Relaxed;

use nacre_model::{Instance, InstanceId, NacosError, Now, ServiceKey, instance::preserved};

use crate::Naming;

/// The reference's snowflake epoch, milliseconds.
const EPOCH: i64 = 1_533_429_240_000;
const SEQUENCE_BITS: u32 = 12;
const WORKER_BITS: u32 = 10;

impl Naming {
    /// The id of a registration whose caller gave none: v1 always, gRPC when the request's is empty; v2 and v3 leave it
    /// [`InstanceId::Absent`]. `cluster` is what the caller wrote (`None` becomes the word `null`, as in the
    /// reference), `service` the service name the id ends with, normally `group@@service`. Fails for an unknown
    /// generator.
    pub fn instance_id(
        &self,
        instance: &Instance,
        cluster: Option<&str>,
        service: &str,
        now: Now,
    ) -> Result<InstanceId, NacosError> {
        let generator = instance.metadata.get(preserved::INSTANCE_ID_GENERATOR).filter(|word| !word.trim().is_empty());
        let generator = generator.map_or("simple", |word| word);
        let cluster_text = cluster.unwrap_or("null");
        match generator {
            // Written out only when the id cannot be derived from the instance: see `simple_id`.
            "simple" => Ok(simple_id(instance, cluster_text, service)),
            "snowflake" => {
                Ok(InstanceId::Given(format!("{}#{cluster_text}#{service}", self.next_snowflake(now)).into()))
            }
            _ => Err(NacosError::server("The InstanceIdGenerator type is not found ")),
        }
    }

    /// [`Naming::instance_id`] of a registration whose cluster and service are the instance's own. The usual id makes no text.
    pub fn own_id(&self, instance: &Instance, service: &ServiceKey, now: Now) -> Result<InstanceId, NacosError> {
        if !instance.metadata.contains_key(preserved::INSTANCE_ID_GENERATOR) {
            return Ok(InstanceId::Simple);
        }
        self.instance_id(instance, Some(&instance.cluster), &service.grouped(), now)
    }

    /// Time, worker and sequence; never twice the same, never backwards although the wall clock may be.
    fn next_snowflake(&self, now: Now) -> u64 {
        let time = u64::try_from(now.wall - EPOCH).unwrap_or(0) << SEQUENCE_BITS;
        let step = |last: u64| Some(time.max(last + 1));
        let last = self.snowflake.fetch_update(Relaxed, Relaxed, step).unwrap_or(0);
        let taken = time.max(last + 1);
        let worker = u64::from(self.options.snowflake_worker) & ((1 << WORKER_BITS) - 1);
        let sequence = taken & ((1 << SEQUENCE_BITS) - 1);
        (taken >> SEQUENCE_BITS) << (WORKER_BITS + SEQUENCE_BITS) | worker << SEQUENCE_BITS | sequence
    }
}

/// Derived when shown if it can be: then it costs no memory.
fn simple_id(instance: &Instance, cluster: &str, service: &str) -> InstanceId {
    if cluster == &*instance.cluster && service.contains(nacre_model::key::GROUP_SEPARATOR) {
        return InstanceId::Simple;
    }
    InstanceId::Given(format!("{}#{}#{cluster}#{service}", instance.ip, instance.port).into())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use super::*;

    fn with_generator(word: &str) -> Instance {
        let mut instance = Instance::new("10.0.0.1", 80);
        instance.metadata = Arc::new([(preserved::INSTANCE_ID_GENERATOR.into(), word.into())].into_iter().collect());
        instance
    }

    #[test]
    fn the_simple_id_shows_the_words_of_the_request() {
        let naming = Naming::default();
        let id = |cluster, service| {
            let instance = Instance::new("10.0.0.1", 80);
            let id = naming.instance_id(&instance, cluster, service, Now::default()).expect("id");
            Instance { instance_id: id, ..instance }.instance_id_text("G@@s").expect("text")
        };
        assert_eq!(id(Some("DEFAULT"), "G@@s"), "10.0.0.1#80#DEFAULT#G@@s");
        assert_eq!(id(None, "G@@s"), "10.0.0.1#80#null#G@@s");
        assert_eq!(id(Some("DEFAULT"), "other"), "10.0.0.1#80#DEFAULT#other");
        let own = |instance| naming.own_id(&instance, &ServiceKey::new("", "G", "s"), Now::default());
        assert_eq!(own(Instance::new("10.0.0.1", 80)), Ok(InstanceId::Simple));
        assert_eq!(own(with_generator("simple")), Ok(InstanceId::Simple));
        assert_eq!(own(with_generator(" ")), Ok(InstanceId::Simple));
        assert!(own(with_generator("uuid")).is_err());
    }

    #[test]
    fn snowflakes_are_unique_and_carry_the_worker() {
        let naming = Naming::new(crate::Options { snowflake_worker: 513, ..Default::default() });
        let now = Now { mono: 0, wall: 1_700_000_000_000 };
        let mut seen = HashSet::new();
        for step in 0..10_000 {
            let at = if step % 3 == 0 { now } else { now.plus(step / 100) };
            let id = naming.instance_id(&with_generator("snowflake"), Some("C"), "G@@s", at).expect("id");
            let InstanceId::Given(text) = id else { panic!("a snowflake is text") };
            let number = text.strip_suffix("#C#G@@s").and_then(|n| n.parse::<u64>().ok()).expect("number");
            assert_eq!(number >> 12 & 1023, 513);
            assert!(seen.insert(number), "twice {number}");
        }
    }

    #[test]
    fn an_unknown_generator_is_refused() {
        let error = Naming::default()
            .instance_id(&with_generator("uuid"), Some("C"), "G@@s", Now::default())
            .expect_err("refused");
        assert_eq!((error.status, &*error.message), (500, "The InstanceIdGenerator type is not found "));
    }
}
