//! Logs under the names that Nacos gives them, for people and tools that grep: `naming-server.log`, `naming-push.log`,
//! `remote-digest.log`, `config-trace.log` and so on (`nacre.logging.files`, off by default). They are a view of the journal:
//! [`lines`] says which line of which file an event is.
//!
//! A thread of its own writes; whoever records an event hands over its lines and never waits. What does not fit into the queue or
//! onto the disk is left out and counted in `nacos.log`. Files are bounded: at their size they are renamed to `NAME.1`, and so
//! on up to [`KEPT`].

mod lines;

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use nacre_journal::Witness;
use nacre_model::limits;

use self::lines::{Line, date, of};
use crate::properties::Properties;

/// Older files kept of each log.
const KEPT: u32 = 4;
/// Where what has no log of its own goes.
const ROOT: &str = "nacos.log";

/// A witness that writes the logs as well, where somebody asked for them.
pub fn witness(props: &Properties, next: Witness) -> io::Result<Witness> {
    if !props.bool("nacre.logging.files") {
        return Ok(next);
    }
    let folder = props.path("nacos.logs.path").map_or_else(|| props.home().join("logs"), Path::to_path_buf);
    fs::create_dir_all(&folder)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
    let files = Files { folder, size: props.u64("nacre.logging.files.size"), open: HashMap::new() };
    let left_out = Arc::new(AtomicU64::new(0));
    let (sender, receiver) = sync_channel(limits::LOG_LINES as usize);
    let counter = Arc::clone(&left_out);
    std::thread::Builder::new().name("log files".to_owned()).spawn(move || write_all(files, &receiver, &counter))?;
    Ok(Box::new(move |event| {
        of(event, |line| hand_over(&sender, line, &left_out));
        next(event);
    }))
}

fn hand_over(sender: &SyncSender<Line>, line: Line, left_out: &AtomicU64) {
    if sender.try_send(line).is_err() {
        left_out.fetch_add(1, Ordering::Relaxed);
    }
}

/// Until nobody records any more.
fn write_all(mut files: Files, lines: &Receiver<Line>, left_out: &AtomicU64) {
    while let Ok(first) = lines.recv() {
        let mut line = Some(first);
        while let Some(next) = line {
            if files.write(&next).is_err() {
                left_out.fetch_add(1, Ordering::Relaxed);
            }
            line = lines.try_recv().ok();
        }
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let told = format!("{} WARN {missing} lines of the logs were left out\n\n", date(at.as_millis() as i64));
            if files.write(&Line { file: ROOT, text: told }).is_err() {
                left_out.fetch_add(missing, Ordering::Relaxed);
            }
        }
        files.flush();
    }
}

struct Files {
    folder: PathBuf,
    /// Bytes at which a file is closed.
    size: u64,
    open: HashMap<&'static str, Open>,
}

struct Open {
    file: io::BufWriter<File>,
    bytes: u64,
}

impl Files {
    fn write(&mut self, line: &Line) -> io::Result<()> {
        let length = line.text.len() as u64;
        if self.open.get(line.file).is_some_and(|open| open.bytes > 0 && open.bytes + length > self.size) {
            self.turn(line.file)?;
        }
        let open = match self.open.entry(line.file) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let file = OpenOptions::new().create(true).append(true).open(self.folder.join(line.file))?;
                let bytes = file.metadata()?.len();
                place.insert(Open { file: io::BufWriter::new(file), bytes })
            }
        };
        open.bytes += length;
        open.file.write_all(line.text.as_bytes())
    }

    /// Closes a file that is full: `NAME.1` becomes `NAME.2` and so on, the oldest goes.
    fn turn(&mut self, name: &'static str) -> io::Result<()> {
        if let Some(mut open) = self.open.remove(name) {
            open.file.flush()?;
        }
        let numbered = |number: u32| self.folder.join(format!("{name}.{number}"));
        for number in (1..KEPT).rev() {
            if numbered(number).exists() {
                fs::rename(numbered(number), numbered(number + 1))?;
            }
        }
        fs::rename(self.folder.join(name), numbered(1))
    }

    /// A file that cannot be written is opened anew for the next line: its disk may have room again.
    fn flush(&mut self) {
        self.open.retain(|_, open| open.file.flush().is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_turn_at_their_size_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = Files { folder: folder.path().to_owned(), size: 20, open: HashMap::new() };
        for number in 0..20 {
            let text = format!("line {number:03}\n");
            files.write(&Line { file: "naming-push.log", text }).expect("a line");
        }
        files.flush();
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .expect("files")
            .map(|file| file.expect("a file").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        let expected: Vec<_> = std::iter::once("naming-push.log".to_owned())
            .chain((1..=KEPT).map(|n| format!("naming-push.log.{n}")))
            .collect();
        assert_eq!(names, expected);
        let newest = fs::read_to_string(folder.path().join("naming-push.log")).expect("text");
        assert_eq!(newest, "line 018\nline 019\n");
        let oldest = fs::read_to_string(folder.path().join(format!("naming-push.log.{KEPT}"))).expect("text");
        assert_eq!(oldest, "line 010\nline 011\n");
    }

    #[test]
    fn what_was_there_before_a_restart_stays_and_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(ROOT), "0123456789\n").expect("a file");
        let mut files = Files { folder: folder.path().to_owned(), size: 15, open: HashMap::new() };
        let line = Line { file: ROOT, text: "new\n".to_owned() };
        files.write(&line).expect("a line");
        files.write(&line).expect("a line");
        files.flush();
        assert_eq!(fs::read_to_string(folder.path().join("nacos.log.1")).expect("text"), "0123456789\nnew\n");
        assert_eq!(fs::read_to_string(folder.path().join(ROOT)).expect("text"), "new\n");
    }
}
