//! nacre's own keys.

use super::{COUNT, DAY, Kind, Known, MIB, bytes, int, millis, row, seconds};

#[rustfmt::skip]
pub(super) const ROWS: &[Known] = &[
    row("nacre.listen", Kind::Addresses, "127.0.0.1", "0.1", "Addresses to serve on. Loopback until authentication exists.").now(),
    row("nacre.logging", Kind::Text, "info", "0.1", "What is logged to the standard error: a level, or target=level pairs with commas between.").hot(),
    row("nacre.shutdown.timeout", seconds(0, 600), "10", "0.1", "How long a stop may take before what is still open is cut.").now(),
    row("nacre.http.max-body", bytes(MIB, 256 * MIB), "12582912", "0.1", "Largest body of an HTTP request.").now(),
    row("nacre.http.max-head", bytes(64 * 1024, 64 * MIB), "8388608", "0.1", "Largest request line and headers of an HTTP request.").now(),
    row("nacre.limit.connections", int(16, 10_000_000), "100000", "0.1", "Open connections of all protocols.").now(),
    row("nacre.limit.instances", COUNT, "5000000", "0.1", "Registered instances.").now(),
    row("nacre.limit.listened-keys", COUNT, "200000", "0.1", "Configs one client listens to.").now(),
    row("nacre.limit.long-polls", COUNT, "200000", "0.1", "Held long polls.").now(),
    row("nacre.limit.services-per-client", COUNT, "200000", "0.1", "Services one client publishes or subscribes to.").now(),
    row("nacre.limit.udp-subscribers", COUNT, "100000", "0.1", "Subscribers of 1.x that are pushed to by UDP.").now(),
    row("nacre.limit.write-queue", int(1, 1_000_000), "16384", "0.1", "Durable writes that wait for the log.").now(),
    row("nacre.journal.memory", bytes(MIB, 16 * 1024 * MIB), "67108864", "0.1", "Memory of the journal of transitions.").now(),
    row("nacre.doctor.enabled", Kind::Bool, "true", "0.1", "Look for causes once a second (GET /v3/admin/diagnosis/findings); false saves the time.").now(),
    row("nacre.doctor.told", millis(1_000, DAY), "60000", "0.1", "How long a finding about something that happened once stays after it happened.").now(),
    row("nacre.journal.disk.enabled", Kind::Bool, "true", "0.1", "Keep the journal on disk as well, under HOME/data/journal: it answers for the time before a restart.").now(),
    row("nacre.journal.disk.bytes", bytes(4 * MIB, 100 * 1024 * MIB), "1073741824", "0.1", "Most bytes of the journal on disk; the oldest goes first.").now(),
    row("nacre.journal.disk.age", seconds(60, 3_650 * 86_400), "604800", "0.1", "Events are kept on disk for this long.").now(),
    row("nacre.limit.write-queue-bytes", bytes(64 * MIB, 16 * 1024 * MIB), "268435456", "0.1", "Memory of durable writes that wait for the log.").now(),
    row("nacre.log.checkpoint-entries", int(100, 100_000_000), "200000", "0.1", "Log entries after which the database is checkpointed and the log purged.").now(),
    row("nacre.log.checkpoint-bytes", bytes(MIB, 16 * 1024 * MIB), "67108864", "0.1", "Log bytes after which the database is checkpointed and the log purged.").now(),
    row("nacre.log.slow-fsync", millis(1, DAY), "200", "0.1", "An fsync of the log that takes longer is recorded in the journal.").now(),
    row("nacre.log.recovery", Kind::Choice(&["strict", "accept-loss"]), "strict", "0.1", "What to do with a log whose acknowledged part is damaged: refuse the start, or cut it there and lose the rest.").now(),
    row("nacre.grpc.detection.idle", millis(1_000, DAY), "13000", "0.1", "A gRPC client that was silent for this long is asked whether it is there (Nacos: 20 s). Clients speak every 5 s.").now(),
    row("nacre.grpc.detection.timeout", millis(100, DAY), "5000", "0.1", "Time for the answer; then the connection is closed and its instances go.").now(),
    row("nacre.naming.protection.threshold-zero-masks", Kind::Bool, "true", "0.1", "As Nacos, a service with threshold 0 whose instances are all unhealthy shows them as healthy; false never masks at 0.").now(),
    row("nacre.naming.brake.enabled", Kind::Bool, "true", "0.1", "Pause removals when an implausible share of one service would expire at once.").now(),
    row("nacre.naming.brake.min-instances", int(2, 1_000_000), "10", "0.1", "Services with fewer instances are never held.").now(),
    row("nacre.naming.brake.percent", int(1, 100), "80", "0.1", "Share of a service's instances that may fall silent within the window before removals pause.").now(),
    row("nacre.naming.brake.window", millis(100, DAY), "6000", "0.1", "The window of the share; at least the beat interval.").now(),
    row("nacre.naming.brake.hold", millis(0, DAY), "30000", "0.1", "The longest pause; then removals go on.").now(),
];
