//! Naming: timers, cleaners, push, fuzzy watch.

use super::{COUNT, Kind, Known, LONGEST, int, millis, row};

#[rustfmt::skip]
pub(super) const ROWS: &[Known] = &[
    row("nacos.naming.data.warmup", Kind::Bool, "false", "1.0.0", "true = naming stays DOWN until Distro and raft are ready.").later(),
    row("nacos.naming.expireInstance", Kind::Bool, "true", "1.0.0", "Delete ephemeral HTTP instances after ipDeleteTimeout.").now(),
    row("nacos.naming.clean.empty-service.interval", millis(0, LONGEST), "60000", "2.0.0", "Cleaner period; here every service is looked at when its own time has come.").never(),
    row("nacos.naming.clean.empty-service.expired-time", millis(0, LONGEST), "60000", "2.0.0", "Age before an empty service is removed (ms).").now(),
    row("nacos.naming.clean.expired-metadata.interval", millis(0, LONGEST), "5000", "2.0.0", "Cleaner period; here metadata are looked at when their own time has come.").never(),
    row("nacos.naming.clean.expired-metadata.expired-time", millis(0, LONGEST), "60000", "2.0.0", "Age before orphan metadata is removed (ms).").now(),
    row("nacos.naming.client.expired.time", millis(0, LONGEST), "180000", "2.0.x", "Unrenewed replicated client removed after (ms).").hot(),
    row("nacos.naming.push.pushTaskDelay", millis(0, LONGEST), "500", "2.0.x", "Push merge delay (ms).").hot(),
    row("nacos.naming.push.pushTaskTimeout", millis(0, LONGEST), "5000", "2.0.x", "Push ack timeout (ms).").hot(),
    row("nacos.naming.push.pushTaskRetryDelay", millis(0, LONGEST), "1000", "2.0.x", "Push retry delay (ms).").hot(),
    row("nacos.naming.fuzzy.watch.max.pattern.count", COUNT, "20", "3.0.0", "Max watched patterns server-wide.").now(),
    row("nacos.naming.fuzzy.watch.max.pattern.match.service.count", COUNT, "500", "3.0.0", "Max services matched per pattern.").now(),
    row("nacos.naming.empty-service.auto-clean", Kind::Bool, "true", "1.3.0 - 2.1.x", "false keeps empty services for ever. Nacos 2.2 and later no longer read it.").now(),
    row("nacos.naming.empty-service.clean.initial-delay-ms", Kind::Text, "60000", "1.3.0 - 2.1.x", "1.x cleaner first delay; dead later.").dead("nacos.naming.clean.empty-service.expired-time"),
    row("nacos.naming.empty-service.clean.period-time-ms", Kind::Text, "20000", "1.3.0 - 2.1.x", "1.x cleaner period; dead later.").dead("nacos.naming.clean.empty-service.interval"),
    row("nacos.naming.service.metadata.length", int(0, 10_485_760), "1024", "2.3.0", "Largest sum of the lengths of an instance's metadata keys and values.").now(),
];
