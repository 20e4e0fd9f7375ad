//! Room for connections: as many as `nacre.limit.connections` says and as the process may have open files, less a reserve
//! for the database, the log and health checks. When there is none left, the connection that has been open longest without
//! a single byte gives way: idle connections never keep speaking clients out (case C087).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nacre_journal::Journal;
use nacre_model::{Cause, Event, Subject};
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use crate::clock::Clock;

/// A share of the files, one in this many, is not for connections.
const RESERVED_PART: u64 = 4;
/// The reserve is never less and never more than this.
const RESERVE: (u64, u64) = (32, 2_048);
/// A connection that was asked to give way is gone within this.
const GIVES_WAY_WITHIN: Duration = Duration::from_millis(200);
/// A full house is told this often.
const TOLD_EVERY_MS: u64 = 1_000;

/// Places for the connections of all doors.
pub struct Room {
    free: Arc<Semaphore>,
    /// What is full when the room is, for the journal.
    limit: String,
    value: u64,
    places: usize,
    /// Connections without a byte so far, oldest first.
    silent: Mutex<BTreeMap<u64, oneshot::Sender<()>>>,
    next: AtomicU64,
    /// Monotonic milliseconds of the last time it was told, plus one.
    told: AtomicU64,
}

/// One connection's place; free again when this is dropped.
pub struct Seat {
    room: Arc<Room>,
    id: u64,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    pub fn new(connections: usize) -> Self {
        let files = raise_files();
        let reserve = (files / RESERVED_PART).clamp(RESERVE.0, RESERVE.1);
        let by_files = usize::try_from(files.saturating_sub(reserve).max(1)).unwrap_or(usize::MAX);
        let (places, limit, value) = if by_files < connections {
            (by_files, "open files of the process (ulimit -n)".to_owned(), files)
        } else {
            (connections, "nacre.limit.connections".to_owned(), connections as u64)
        };
        let places = places.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(places)),
            limit,
            value,
            places,
            silent: Mutex::default(),
            next: AtomicU64::new(0),
            told: AtomicU64::new(0),
        }
    }

    /// How many connections have a place now.
    pub fn used(&self) -> usize {
        self.places.saturating_sub(self.free.available_permits())
    }

    /// How many connections there is room for.
    pub fn places(&self) -> usize {
        self.places
    }

    /// A place; `None` when all are taken by connections that have spoken.
    pub async fn seat(self: &Arc<Self>, clock: &Clock, journal: &Journal) -> Option<Seat> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.tell(clock, journal);
                // Its receiver hears of it by the sender's end.
                self.silent.lock().pop_first()?;
                timeout(GIVES_WAY_WITHIN, Arc::clone(&self.free).acquire_owned()).await.ok()?.ok()?
            }
        };
        Some(Seat { room: Arc::clone(self), id: self.next.fetch_add(1, Ordering::Relaxed), _permit: permit })
    }

    /// The kernel refused another file although there was room.
    pub fn out_of_files(&self, clock: &Clock, journal: &Journal) {
        self.tell(clock, journal);
        self.silent.lock().pop_first();
    }

    fn tell(&self, clock: &Clock, journal: &Journal) {
        let now = clock.now();
        let last = self.told.load(Ordering::Relaxed);
        let due = last == 0 || now.mono + 1 >= last + TOLD_EVERY_MS;
        if due && self.told.compare_exchange(last, now.mono + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let cause = Cause::LimitHit { limit: self.limit.clone(), value: self.value };
            journal.record(Event::new(now, Subject::default(), cause));
        }
    }
}

impl Seat {
    /// Waits for `first`, which ends when the connection has spoken; `None` when it was asked to give way before.
    pub async fn silent<T>(&self, first: impl Future<Output = T>) -> Option<T> {
        let (way, asked) = oneshot::channel();
        self.room.silent.lock().insert(self.id, way);
        let spoken = tokio::select! {
            spoken = first => Some(spoken),
            _ = asked => None,
        };
        self.room.silent.lock().remove(&self.id);
        spoken
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.silent.lock().remove(&self.id);
    }
}

/// Raises the soft limit of open files to the hard one, as servers may, and answers what is in force.
fn raise_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            return limit.maximum.unwrap_or(u64::MAX);
        }
    }
    limit.current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_silent_connection_gives_way_and_speakers_stay() {
        let (room, clock, journal) = (Arc::new(Room::new(2)), Clock::start(), Journal::new(Default::default()));
        let speaker = room.seat(&clock, &journal).await.unwrap();
        assert_eq!(speaker.silent(async { 7 }).await, Some(7));
        let idle = room.seat(&clock, &journal).await.unwrap();
        let (listed, is_listed) = oneshot::channel();
        let waiting = tokio::spawn(async move {
            let waits = idle.silent(async {
                let _ = listed.send(());
                std::future::pending::<()>().await;
            });
            waits.await
        });
        is_listed.await.unwrap();
        let newcomer = room.seat(&clock, &journal).await.expect("a place");
        assert_eq!(waiting.await.unwrap(), None, "it was asked to give way");
        assert_eq!(newcomer.silent(async { 1 }).await, Some(1));
        assert!(room.seat(&clock, &journal).await.is_none(), "nobody is silent");
        drop(speaker);
        assert!(room.seat(&clock, &journal).await.is_some());
        let told = journal.query(&nacre_journal::Filter::default());
        assert_eq!(told.len(), 1, "once a second, however many knock");
    }

    #[test]
    fn files_bound_the_room_and_leave_a_reserve() {
        let room = Room::new(usize::MAX);
        assert!(room.places() >= 1 && (room.places() as u64) < raise_files());
        assert_eq!(Room::new(3).places(), 3);
    }
}
