//! The log as openraft wants it.

use std::{fmt::Debug, ops::Bound, ops::RangeBounds};

use openraft::{
    AnyError, LogState, OptionalSend, RaftLogReader, StorageIOError,
    storage::{LogFlushed, RaftLogStorage},
};

use super::{Log, LogError, writer::Action};
use crate::types::{LogEntry, LogId, StorageError, Types, Vote};

/// Most bytes of entries sent to a follower at once.
const REPLICATION_BYTES: u64 = 16 * 1024 * 1024;

fn any(error: &LogError) -> AnyError {
    AnyError::error(&error.detail)
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, StorageError> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        self.read(from, to, u64::MAX).await.map_err(|error| StorageIOError::read_logs(&error).into())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, StorageError> {
        self.read(start, end, REPLICATION_BYTES).await.map_err(|error| StorageIOError::read_logs(&error).into())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        Ok(self.shared.with(|state| LogState { last_purged_log_id: state.meta.purged(), last_log_id: state.last }))
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.ask(|reply| Action::Vote(vote, reply))
            .await
            .map_err(|error| StorageIOError::write_vote(any(&error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.shared.with(|state| state.meta.vote()))
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> = entries.into_iter().collect();
        self.ask(|reply| Action::Append(entries, reply))
            .await
            .map_err(|error| StorageError::from(StorageIOError::write_logs(any(&error))))?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.ask(|reply| Action::Truncate(log_id.index, reply))
            .await
            .map_err(|error| StorageIOError::write_logs(any(&error)).into())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.ask(|reply| Action::Purge(log_id, reply))
            .await
            .map_err(|error| StorageIOError::write_logs(any(&error)).into())
    }
}
