//! Group commit: writes that arrive while an entry is on its way to the disk share the next one.
//!
//! The engine waits for each append, so the number of entries per second is the number of fsyncs per second. One task
//! takes what waits in the queue, makes one entry of it, waits until it is durable and applied, and hands out the replies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Config, Reason, Stages, WriteError,
    log::size_of_commands,
    types::{Batch, wall_clock},
};

type Outcome = Result<Bytes, WriteError>;

enum Item {
    Write(Waiting),
    /// Nothing comes after this.
    Last,
}

/// The callers' end of the queue.
pub struct Queue {
    items: mpsc::UnboundedSender<Item>,
    writes: AtomicUsize,
    bytes: AtomicUsize,
    limit_writes: usize,
    limit_bytes: usize,
    max_command: usize,
    closed: AtomicBool,
    last_wall: AtomicI64,
    pub done: AtomicU64,
    pub not_done: AtomicU64,
    pub unknown: AtomicU64,
}

/// The proposer's end.
pub struct Intake {
    items: mpsc::UnboundedReceiver<Item>,
    /// Did not fit into the batch before.
    carried: Option<Waiting>,
    ended: bool,
    batch_writes: usize,
    batch_bytes: usize,
}

struct Waiting {
    command: Bytes,
    reply: oneshot::Sender<Outcome>,
    /// Somebody wants to know how it fared.
    stages: Option<Arc<Stages>>,
}

/// Writes that share one entry.
pub struct Group {
    commands: Vec<Bytes>,
    replies: Vec<oneshot::Sender<Outcome>>,
    bytes: usize,
    /// Of those of its writes that somebody asks about.
    pub watched: Vec<Arc<Stages>>,
}

impl Queue {
    /// `last_wall` is the newest wall time in the log: time does not go back behind it.
    pub fn new(config: &Config, last_wall: i64) -> (Arc<Self>, Intake) {
        let (sender, items) = mpsc::unbounded_channel();
        let queue = Self {
            items: sender,
            writes: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            limit_writes: config.queue_writes,
            limit_bytes: config.queue_bytes,
            max_command: config.max_command,
            closed: AtomicBool::new(false),
            last_wall: AtomicI64::new(last_wall),
            done: AtomicU64::new(0),
            not_done: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        };
        let (batch_writes, batch_bytes) = (config.batch_writes.max(1), config.batch_bytes);
        let intake = Intake { items, carried: None, ended: false, batch_writes, batch_bytes };
        (Arc::new(queue), intake)
    }

    /// Queues a command, or says at once why not.
    pub fn offer(&self, command: Bytes, stages: Option<Arc<Stages>>) -> Result<oneshot::Receiver<Outcome>, Reason> {
        let size = command.len();
        if size > self.max_command {
            return Err(Reason::TooLarge { bytes: size, limit: self.max_command });
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Reason::ShuttingDown);
        }
        let writes = self.writes.fetch_add(1, Ordering::AcqRel);
        let bytes = self.bytes.fetch_add(size, Ordering::AcqRel);
        // One write is always taken, whatever its size.
        if writes >= self.limit_writes || (bytes > 0 && bytes + size > self.limit_bytes) {
            self.leave(1, size);
            return Err(Reason::QueueFull { limit: writes, bytes });
        }
        let (reply, answer) = oneshot::channel();
        if self.items.send(Item::Write(Waiting { command, reply, stages })).is_err() {
            self.leave(1, size);
            return Err(Reason::ShuttingDown);
        }
        Ok(answer)
    }

    fn leave(&self, writes: usize, bytes: usize) {
        self.writes.fetch_sub(writes, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Takes nothing more; what is queued is still worked off.
    pub fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            let _ = self.items.send(Item::Last);
        }
    }

    /// Writes and bytes waiting or in flight.
    pub fn waiting(&self) -> (usize, usize) {
        (self.writes.load(Ordering::Acquire), self.bytes.load(Ordering::Acquire))
    }

    fn next_wall(&self) -> i64 {
        let now = wall_clock();
        self.last_wall.fetch_max(now, Ordering::AcqRel).max(now)
    }

    pub fn count(&self, outcome: &Outcome) {
        let counter = match outcome {
            Ok(_) => &self.done,
            Err(WriteError::NotDone(_)) => &self.not_done,
            Err(WriteError::Unknown(_)) => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Intake {
    /// Waits for a write and takes what else is there, up to the bounds of a batch. `None` after the last.
    pub async fn next(&mut self) -> Option<Group> {
        let first = match self.carried.take() {
            Some(waiting) => waiting,
            None if self.ended => return None,
            None => match self.items.recv().await? {
                Item::Write(waiting) => waiting,
                Item::Last => return self.drain(),
            },
        };
        let mut group = Group { commands: Vec::new(), replies: Vec::new(), bytes: 0, watched: Vec::new() };
        group.push(first);
        self.fill(&mut group);
        Some(group)
    }

    fn fill(&mut self, group: &mut Group) {
        while group.commands.len() < self.batch_writes {
            match self.items.try_recv() {
                Ok(Item::Write(waiting)) => {
                    if group.bytes + waiting.command.len() > self.batch_bytes {
                        self.carried = Some(waiting);
                        return;
                    }
                    group.push(waiting);
                }
                Ok(Item::Last) => {
                    self.close();
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// After the last item: writes that raced with the closing are told so.
    fn drain(&mut self) -> Option<Group> {
        self.close();
        None
    }

    fn close(&mut self) {
        self.ended = true;
        self.items.close();
        while let Ok(item) = self.items.try_recv() {
            if let Item::Write(waiting) = item {
                let _ = waiting.reply.send(Err(WriteError::NotDone(Reason::ShuttingDown)));
            }
        }
    }
}

impl Group {
    fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.command.len();
        self.commands.push(waiting.command);
        self.replies.push(waiting.reply);
        if let Some(stages) = waiting.stages {
            stages.note(|seen| seen.taken = Some(Instant::now()));
            self.watched.push(stages);
        }
    }

    /// Writes in it.
    pub fn len(&self) -> usize {
        self.replies.len()
    }

    /// Size of the entry on disk.
    pub fn size(&self) -> u64 {
        size_of_commands(self.commands.len(), self.bytes)
    }

    /// The entry's content; the group keeps the repliers.
    pub fn batch(&mut self, queue: &Queue) -> Batch {
        Batch { wall: queue.next_wall(), commands: std::mem::take(&mut self.commands) }
    }

    pub fn answer(self, queue: &Queue, replies: Result<Vec<Bytes>, WriteError>) {
        queue.leave(self.replies.len(), self.bytes);
        match replies {
            Ok(replies) => {
                for (reply, bytes) in self.replies.into_iter().zip(replies) {
                    let _ = reply.send(Ok(bytes));
                }
            }
            Err(error) => {
                for reply in self.replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}
