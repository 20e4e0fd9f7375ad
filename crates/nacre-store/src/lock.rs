//! The data directory's lock: one process at a time.

use std::{fs::File, path::Path};

use crate::StoreError;

/// Held while a process owns the directory; released when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Locks `dir` (created when missing). A second process is refused with a sentence that names the first by process
    /// id and start time. `started` is that of this process, as text for the next one's sentence.
    pub fn acquire(dir: &Path, started: &str) -> Result<Self, StoreError> {
        use std::io::{Read, Seek, Write};
        let path = dir.join("nacre.lock");
        let io = |source| StoreError::Io { path: path.display().to_string(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        if file.try_lock().is_err() {
            let mut owner = String::new();
            let _ = file.read_to_string(&mut owner);
            let owner = if owner.trim().is_empty() { "another process" } else { owner.trim() };
            return Err(StoreError::Locked(format!(
                "the data directory {} is in use by {owner}: stop it, or choose another directory",
                dir.display()
            )));
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
        writeln!(file, "process {}, started {started}", std::process::id()).and_then(|()| file.flush()).map_err(io)?;
        Ok(Self { _file: file })
    }
}
