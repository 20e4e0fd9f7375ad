//! What the log asks of a disk. Production uses [`Disk`]; tests put one in between that runs full or breaks.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

pub trait Medium: Send + Sync + 'static {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// Data and length of the file are on the disk when this returns.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn set_len(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    /// Reserves disk space for `[0, end)` without changing the length. `Unsupported` where the file system cannot.
    fn allocate(&self, file: &File, end: u64) -> io::Result<()> {
        allocate(file, end)
    }

    /// Names created, renamed or removed in `dir` are on the disk when this returns.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Creates `path` with `bytes`, durably: a crash leaves the whole file or none (perhaps a `.tmp` beside it).
    fn create_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let file = File::options().write(true).create(true).truncate(true).open(&temporary)?;
        self.write_at(&file, bytes, 0)?;
        self.sync(&file)?;
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(dir) => self.sync_dir(dir),
            None => Ok(()),
        }
    }
}

/// The real thing.
pub struct Disk;

impl Medium for Disk {}

#[cfg(target_os = "linux")]
fn allocate(file: &File, end: u64) -> io::Result<()> {
    use rustix::{
        fs::{FallocateFlags, fallocate},
        io::Errno,
    };
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, end) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Err(io::ErrorKind::Unsupported.into()),
        other => other.map_err(io::Error::from),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(_file: &File, _end: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
pub mod faulty {
    use std::{
        fs::File,
        io::{self, ErrorKind},
        os::unix::fs::FileExt,
    };

    use parking_lot::Mutex;

    use super::Medium;

    /// A disk that fails on demand.
    #[derive(Default)]
    pub struct Faulty {
        faults: Mutex<Faults>,
    }

    #[derive(Clone, Default)]
    pub struct Faults {
        pub allocate: Option<ErrorKind>,
        /// Writes fail after this many more bytes.
        pub write_after: Option<(usize, ErrorKind)>,
        pub sync: Option<ErrorKind>,
        pub set_len: Option<ErrorKind>,
    }

    impl Faulty {
        pub fn set(&self, faults: Faults) {
            *self.faults.lock() = faults;
        }

        pub fn heal(&self) {
            self.set(Faults::default());
        }
    }

    fn fail(kind: Option<ErrorKind>) -> io::Result<()> {
        kind.map_or(Ok(()), |kind| Err(kind.into()))
    }

    impl Medium for Faulty {
        fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
            if let Some((left, kind)) = &mut self.faults.lock().write_after {
                if bytes.len() > *left {
                    file.write_all_at(&bytes[..*left], offset)?;
                    *left = 0;
                    return Err((*kind).into());
                }
                *left -= bytes.len();
            }
            file.write_all_at(bytes, offset)
        }

        fn sync(&self, file: &File) -> io::Result<()> {
            fail(self.faults.lock().sync)?;
            file.sync_data()
        }

        fn set_len(&self, file: &File, length: u64) -> io::Result<()> {
            fail(self.faults.lock().set_len)?;
            file.set_len(length)
        }

        fn allocate(&self, _file: &File, _end: u64) -> io::Result<()> {
            fail(self.faults.lock().allocate)
        }
    }
}
