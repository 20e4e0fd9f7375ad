//! Read-only connections, made when first needed and kept.

use std::path::{Path, PathBuf};

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OpenFlags};

use crate::StoreError;

struct Free {
    connections: Vec<Connection>,
    /// Taken and free together.
    made: usize,
}

pub(crate) struct Readers {
    path: PathBuf,
    max: usize,
    free: Mutex<Free>,
    returned: Condvar,
}

impl Readers {
    pub fn new(path: &Path, max: usize) -> Self {
        Self {
            path: path.to_owned(),
            max: max.max(1),
            free: Mutex::new(Free { connections: Vec::new(), made: 0 }),
            returned: Condvar::new(),
        }
    }

    /// Runs a read on a free connection, inside one read transaction; waits while all are taken.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut lease = Lease { readers: self, connection: Some(self.take()?) };
        let Some(connection) = &mut lease.connection else { return Err(StoreError::Closed) };
        let transaction = connection.transaction().map_err(StoreError::from)?;
        read(&transaction).map_err(|error| error.at(&self.path))
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let mut free = self.free.lock();
        loop {
            if let Some(connection) = free.connections.pop() {
                return Ok(connection);
            }
            if free.made < self.max {
                free.made += 1;
                drop(free);
                return open_read_only(&self.path).inspect_err(|_| {
                    self.free.lock().made -= 1;
                    self.returned.notify_one();
                });
            }
            self.returned.wait(&mut free);
        }
    }
}

/// Gives the connection back, also when the read panics.
struct Lease<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut free = self.readers.free.lock();
        match self.connection.take() {
            Some(connection) => free.connections.push(connection),
            None => free.made -= 1,
        }
        self.readers.returned.notify_one();
    }
}

pub(crate) fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
