//! Commands in the log are frozen, the database follows the log, and what cannot be read is never skipped.

use nacre_config::{Listeners, Publish, Remove};
use nacre_model::ConfigKey;
use nacre_store::StoreOptions;

use super::*;

pub(super) struct Bench {
    home: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    pub fn open(&self) -> (Machine, Arc<Configs>) {
        let configs: Arc<Configs> = Arc::default();
        let store = Arc::new(Store::open(StoreOptions::new(self.home.path().join("nacos.db"))).unwrap());
        let (effects, _) =
            Effector::new(Arc::default(), configs.clone(), Arc::new(Listeners::new(10, 10)), Arc::default());
        let naming = Arc::new(Naming::new(nacre_naming::Options::default()));
        let machine = Machine::open(Clock::start(), configs.clone(), naming, store, Arc::new(effects)).unwrap();
        (machine, configs)
    }
}

fn key(data_id: &str) -> ConfigKey {
    ConfigKey::new("", "g", data_id)
}

fn publish(data_id: &str, content: &str) -> Command {
    Command::Config(ConfigCommand::Publish(Box::new(Publish::new(key(data_id), content))))
}

pub(super) fn entry(index: u64, commands: &[Command]) -> Entry {
    Entry {
        position: Position { term: 1, node: 1, index },
        wall: 1_700_000_000_000 + index as i64,
        commands: commands.iter().map(|command| command.encode().unwrap().0).collect(),
        membership: None,
    }
}

fn content(configs: &Configs, data_id: &str) -> Option<String> {
    configs.get(&key(data_id))?.formal.as_ref().map(|formal| formal.content.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Commands as the first release wrote them. A log may hold these for ever.
#[test]
fn commands_of_old_logs_are_read() {
    let remove = Remove { key: key("d"), target: Default::default(), source: Default::default() };
    let commands = [
        (publish("d", "hello"), PUBLISH_V1),
        (Command::Config(ConfigCommand::Remove(remove)), REMOVE_V1),
        (
            Command::Naming(NamingCommand::DeleteService { service: nacre_model::ServiceKey::new("", "g", "s") }),
            SERVICE_V1,
        ),
    ];
    for (command, stored) in commands {
        let read = Command::decode(&unhex(stored))
            .unwrap_or_else(|error| panic!("{error}; now {}", hex(&command.encode().unwrap().0)));
        assert_eq!(format!("{read:?}"), format!("{command:?}"));
    }
}

const PUBLISH_V1: &str = "0181a6436f6e66696781a77075626c6973688aa36b657983a96e616d657370616365a67075626c6963a567726f7570a167a7\
    646174615f6964a164a7636f6e74656e74a568656c6c6fa66361734d6435c0a467726179c0a46d65746187aa636f6e666967\
    54797065a474657874a76170704e616d65a0a464657363c0a3757365c0a6656666656374c0a6736368656d61c0a474616773\
    90ab7265706c61636554616773c2b0656e63727970746564446174614b6579a0a6736f7572636582a475736572c0a26970a0\
    ac6f6e6c794966416273656e74c2a572756c657383a7677261794d61780aa86361706163697479c0b26e616d657370616365\
    4d7573744578697374c2";
const REMOVE_V1: &str = "0181a6436f6e66696781a672656d6f766583a36b657983a96e616d657370616365a67075626c6963a567726f7570a167a764\
    6174615f6964a164a6746172676574a6666f726d616ca6736f7572636582a475736572c0a26970a0";
const SERVICE_V1: &str = "0181a64e616d696e6781ad64656c6574655365727669636581a77365727669636583a96e616d657370616365a67075626c69\
    63a567726f7570a167a46e616d65a173";

#[test]
fn a_command_of_a_newer_version_stops_and_changes_nothing() {
    let bench = Bench::new();
    let (machine, configs) = bench.open();
    machine.apply(entry(0, &[publish("kept", "1")])).unwrap();
    for strange in [vec![2, 0x80], vec![], vec![1, 0x81, 0xa3, b'n', b'e', b'w', 0xc0]] {
        let mut next = entry(1, &[publish("half", "1")]);
        next.commands.push(strange.into());
        let error = machine.apply(next).unwrap_err().0;
        assert!(error.contains("entry 1 of the log") && error.contains("start the version that wrote it"), "{error}");
        assert_eq!(content(&configs, "half"), None);
        assert_eq!(machine.applied().position.unwrap().index, 0);
    }
}

#[test]
fn the_database_goes_on_where_the_machine_was() {
    let bench = Bench::new();
    let (machine, configs) = bench.open();
    let membership = Bytes::from_static(b"members");
    machine.apply(Entry { membership: Some(membership.clone()), ..entry(0, &[]) }).unwrap();
    let commands = [publish("a", "1"), publish("b", "2"), publish("a", "3")];
    let replies = machine.apply(entry(1, &commands)).unwrap();
    assert_eq!(replies.len(), 3);
    for reply in replies {
        let Reply::Config(reply) = Reply::decode(&reply).unwrap() else {
            panic!("the reply belongs to another command")
        };
        reply.into_result().unwrap();
    }
    assert_eq!(machine.checkpoint().unwrap(), machine.applied());
    drop((machine, configs));

    let (machine, configs) = bench.open();
    let position = Some(Position { term: 1, node: 1, index: 1 });
    assert_eq!(machine.applied(), Applied { position, membership: Some(membership) });
    assert_eq!((content(&configs, "a").as_deref(), content(&configs, "b").as_deref()), (Some("3"), Some("2")));
    // The engine's own entries move the position, too.
    machine.apply(entry(2, &[])).unwrap();
    machine.checkpoint().unwrap();
    drop(machine);
    assert_eq!(bench.open().0.applied().position.unwrap().index, 2);
}

#[test]
fn a_snapshot_installed_elsewhere_is_the_same_state() {
    let bench = Bench::new();
    let (machine, _configs) = bench.open();
    machine.apply(Entry { membership: Some(Bytes::from_static(b"members")), ..entry(0, &[]) }).unwrap();
    machine.apply(entry(1, &[publish("a", "1")])).unwrap();
    let file = bench.home.path().join("copy.db");
    let held = machine.snapshot(&file).unwrap();
    assert_eq!(held, machine.applied());

    let other = Bench::new();
    let (machine, configs) = other.open();
    machine.apply(entry(0, &[publish("stale", "1")])).unwrap();
    machine.install(&file, held.clone()).unwrap();
    assert_eq!(machine.applied(), held);
    assert_eq!((content(&configs, "a").as_deref(), content(&configs, "stale")), (Some("1"), None));
    drop((machine, configs));
    let (machine, configs) = other.open();
    assert_eq!((machine.applied(), content(&configs, "a").as_deref()), (held, Some("1")));
}

/// The reply the caller of `given` gets: left for it, or read from the bytes.
fn reply_of(given: Given<'_>, bytes: &[u8]) -> Reply {
    given.reply().unwrap_or_else(|| Reply::decode(bytes).unwrap())
}

fn logged(index: u64, commands: &[Bytes]) -> Entry {
    Entry { commands: commands.to_vec(), ..entry(index, &[]) }
}

fn is_published(reply: &Reply) -> bool {
    matches!(reply, Reply::Config(ConfigReply::Published(_)))
}

#[test]
fn a_command_that_was_handed_over_is_applied_and_answered_like_one_that_was_read() {
    let (bench, other) = (Bench::new(), Bench::new());
    let ((machine, configs), (reader, read)) = (bench.open(), other.open());
    let commands = [publish("a", "1"), publish("b", "2")];
    let given: Vec<Given<'_>> = commands.iter().map(|command| machine.hand(command).unwrap()).collect();
    let bytes: Vec<Bytes> = given.iter().map(Given::bytes).collect();
    // Bytes of the same text that lie elsewhere are another command.
    let copies: Vec<Bytes> = bytes.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect();
    let replies = machine.apply(logged(0, &bytes)).unwrap();
    let read_replies = reader.apply(logged(0, &copies)).unwrap();
    for ((given, reply), read) in given.into_iter().zip(replies).zip(read_replies) {
        assert!(reply.is_empty(), "it was left for the caller");
        let reply = reply_of(given, &reply);
        assert!(is_published(&reply));
        assert_eq!(format!("{reply:?}"), format!("{:?}", Reply::decode(&read).unwrap()));
    }
    for data_id in ["a", "b"] {
        assert_eq!(configs.get(&key(data_id)), read.get(&key(data_id)));
    }
    assert_eq!(machine.handed.len(), 0);
}

#[test]
fn handed_and_read_commands_share_an_entry() {
    let bench = Bench::new();
    let (machine, configs) = bench.open();
    let given = machine.hand(&publish("b", "2")).unwrap();
    let mut mixed = entry(0, &[publish("a", "1"), publish("c", "3")]);
    mixed.commands.insert(1, given.bytes());
    let replies = machine.apply(mixed).unwrap();
    assert_eq!(replies.len(), 3);
    assert!(is_published(&Reply::decode(&replies[0]).unwrap()) && is_published(&Reply::decode(&replies[2]).unwrap()));
    assert!(is_published(&reply_of(given, &replies[1])));
    for (data_id, expected) in [("a", "1"), ("b", "2"), ("c", "3")] {
        assert_eq!(content(&configs, data_id).as_deref(), Some(expected));
    }
}

#[test]
fn a_command_whose_caller_went_away_is_read_from_its_bytes() {
    let bench = Bench::new();
    let (machine, configs) = bench.open();
    let given = machine.hand(&publish("a", "1")).unwrap();
    let bytes = given.bytes();
    drop(given);
    assert_eq!(machine.handed.len(), 0);
    let replies = machine.apply(logged(0, &[bytes])).unwrap();
    assert!(is_published(&Reply::decode(&replies[0]).unwrap()));
    assert_eq!(content(&configs, "a").as_deref(), Some("1"));
}

#[test]
fn nothing_of_an_entry_is_applied_when_one_command_of_it_is_unreadable() {
    let bench = Bench::new();
    let (machine, configs) = bench.open();
    let given = machine.hand(&publish("a", "1")).unwrap();
    assert!(machine.apply(logged(0, &[given.bytes(), Bytes::from_static(b"\x02")])).is_err());
    assert_eq!(content(&configs, "a"), None);
    assert!(given.reply().is_none());
}
