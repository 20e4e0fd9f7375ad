//! Every limit of nacre with its reason. `docs/limits.md` shows the same table; a test keeps both equal.
//!
//! A limit that a property can change carries the property's name; the value here is its default.

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Short name used in events and metrics.
    pub name: &'static str,
    pub value: u64,
    pub unit: &'static str,
    /// The property that changes it, or `""`.
    pub property: &'static str,
    pub reason: &'static str,
}

macro_rules! limits {
    ($($ident:ident = $value:expr, $unit:literal, $property:literal, $reason:literal;)*) => {
        $(#[doc = $reason] pub const $ident: u64 = $value;)*
        /// All limits, for the docs and for `nacre status`.
        pub const ALL: &[Limit] = &[$(Limit {
            name: stringify!($ident), value: $value, unit: $unit, property: $property, reason: $reason,
        }),*];
    };
}

limits! {
    HTTP_BODY = 12 * 1024 * 1024, "bytes", "nacre.http.max-body", "A config of 10 MiB, urlencoded text aside, with its other form fields.";
    HTTP_HEAD = 8 * 1024 * 1024, "bytes", "nacre.http.max-head", "Python 1.x publishes with the content in the query string; 1 MB grows threefold when encoded.";
    HTTP_PARAMS = 10_000, "parameters", "", "More query and form parameters than any client sends; as in Tomcat.";
    GRPC_MESSAGE = 10 * 1024 * 1024, "bytes", "nacos.remote.server.grpc.sdk.max-inbound-message-size", "Nacos's own limit of an inbound payload.";
    GRPC_STREAMS = 10_000, "streams a connection", "", "The reference has no limit; a client with a thousand parallel calls must not stall.";
    CONNECTIONS = 100_000, "connections", "nacre.limit.connections", "Each costs file handle and memory; refuse before the process runs out.";
    CONFIG_CONTENT = 10 * 1024 * 1024, "UTF-16 units", "maxContent", "Nacos's own limit of a config's content.";
    LISTENING_CONFIGS = 10 * 1024 * 1024, "bytes", "", "Listening-Configs of one long poll, as Nacos bounds the form.";
    LISTENED_KEYS = 200_000, "keys a client", "nacre.limit.listened-keys", "A client that listens to more than this has lost its way; the rest is refused.";
    LONG_POLLS = 200_000, "requests", "nacre.limit.long-polls", "Held long polls of the whole server.";
    INSTANCES_PER_BATCH = 10_000, "instances", "", "One BatchInstanceRequest; bigger ones do not fit the message limit anyway.";
    SERVICES_PER_CLIENT = 200_000, "services", "nacre.limit.services-per-client", "Publications and subscriptions of one client.";
    INSTANCES = 5_000_000, "instances", "nacre.limit.instances", "Registered instances of the whole server.";
    UDP_SUBSCRIBERS = 100_000, "subscribers", "nacre.limit.udp-subscribers", "1.x subscribers by UDP of the whole server.";
    UDP_FILTERS = 10_000, "lists", "", "1.x clients that poll one service by several cluster filters; the rest get pushes of their newest filter.";
    HEALTH_PROBES = 256, "probes", "", "Active checks of persistent instances under way at the same time; each holds a file handle.";
    PUSH_RETRIES_CONFIG = 50, "tries", "nacos.config.push.maxRetryTime", "As Nacos; then the journal names the subscriber and the connection is closed.";
    PUSH_RETRIES_NAMING = 50, "tries", "", "A subscriber that acknowledges nothing for five minutes hears of the next change again; the journal names it.";
    PUSH_BACKLOG = 500_000, "targets a connection", "", "Different services, configs and fuzzy keys one connection is owed; more than it may subscribe and listen to.";
    NOTICES_OWED = 65_536, "configs", "", "Changed configs whose listeners have not been told yet; whoever changes one more tells the listeners of the oldest first.";
    LOG_LINES = 16_384, "lines", "", "Lines that wait for the log files of `nacre.logging.files`; more are left out and counted.";
    JOURNAL_BYTES = 64 * 1024 * 1024, "bytes", "nacre.journal.memory", "The flight recorder in memory.";
    DOCTOR_SUBJECTS = 20_000, "instances, addresses", "nacre.doctor.subjects", "Instances, and client addresses, whose newest 16 and 32 events the doctor keeps beyond the journal, some 150 bytes an event, with as many addresses and what they were seen doing (500 bytes), half as many instances that were called for from elsewhere (200 bytes), a fifth as many naming connections that ended (150 bytes), and a tenth as many events of a kind (200 to 2,000); those silent longest are forgotten.";
    UNANSWERED = 8_192, "questions", "", "Questions for configs and services that found nothing, by asker; those not asked for a minute are forgotten.";
    NAMES_WALKED = 10_000, "names", "", "Names of services, or of configs, that are compared with one that was asked for and is not there, once in ten seconds for each.";
    TOLD_LATE = 1_024, "configs", "", "Configs whose listeners began with an old version and were told at once; the doctor looks whether they follow.";
    HANDS = 4_096, "instances", "", "Instances of which the doctor keeps who edited them; the older half is forgotten.";
    CONTESTED = 2_048, "instances", "", "Instances for which several addresses send beats; those silent for two minutes are forgotten.";
    STRAYS = 2_048, "calls", "", "Calls below another context path and of unknown APIs, by caller; those not made again for a minute are forgotten.";
    BEFORE = 50_000, "instances and connections", "", "What the doctor reads back of the process before a restart, newest first, for a quarter of an hour.";
    JOURNAL_DISK_BYTES = 1024 * 1024 * 1024, "bytes", "nacre.journal.disk.bytes", "The flight recorder on disk; the oldest file goes first.";
    JOURNAL_DISK_READERS = 2, "questions", "", "Questions to the journal's files at the same time; each reads 512 MiB or for 3 seconds at most, and says where to go on.";
    TRACE_SPANS = 8_192, "spans", "", "Spans that wait for the OpenTelemetry collector, some 1 KB each; more are dropped and counted.";
    TRACED_PUSHES = 100, "pushes a change", "", "Subscribers told of a traced change that get a span; a change for ten thousand must not fill the queue.";
    WRITE_QUEUE = 16_384, "writes", "nacre.limit.write-queue", "Durable writes that wait for the log; more are refused with 503.";
    WRITE_BATCH = 1_024, "writes", "", "Durable writes that share one fsync.";
    WRITE_QUEUE_BYTES = 256 * 1024 * 1024, "bytes", "nacre.limit.write-queue-bytes", "Memory of the durable writes that wait for the log; more are refused with 503.";
    WRITE_BATCH_BYTES = 8 * 1024 * 1024, "bytes", "", "Log entry of several writes; one fsync must stay short.";
    WRITE_COMMAND = 64 * 1024 * 1024, "bytes", "", "One durable write; the largest config in UTF-8 with its form fields and its encoding.";
    LOG_SEGMENT = 32 * 1024 * 1024, "bytes", "", "A log file is closed at this size; purging deletes whole files.";
    LOG_CHECKPOINT_ENTRIES = 200_000, "log entries", "nacre.log.checkpoint-entries", "The database is checkpointed and the log purged behind it; bounds the replay after a crash.";
    LOG_CHECKPOINT_BYTES = 64 * 1024 * 1024, "bytes", "nacre.log.checkpoint-bytes", "As above, by size.";
    FUZZY_PATTERNS = 20, "patterns", "nacos.naming.fuzzy.watch.max.pattern.count", "As Nacos.";
    FUZZY_MATCHES = 500, "services a pattern", "nacos.naming.fuzzy.watch.max.pattern.match.service.count", "As Nacos.";
    PROPERTIES_FILE = 4 * 1024 * 1024, "bytes", "", "A properties file; the longest real ones are some tens of kilobytes.";
    CLUSTER_MEMBERS = 1_000, "members", "", "Members of one cluster.conf; clusters have three or five.";
    IMPORT_BYTES = 64 * 1024 * 1024, "bytes", "", "What an imported zip may unpack to; a small file can hold gigabytes of zeros.";
    IMPORT_ENTRIES = 10_000, "files", "", "Files of an imported zip; the rest is not looked at.";
    PAGE_SIZE = 500, "rows", "", "Largest page of a search, as Nacos's v3 forms allow.";
}
