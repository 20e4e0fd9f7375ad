//! Commands this node proposed itself, kept for the one who applies them: what was read once for safety need not be read
//! again when its entry comes along, nor its reply be written and read between two rooms of one process.
//!
//! A command is known by *where its bytes lie*. Whoever handed it over holds them ([`Given`]), so nothing else can lie
//! there, and the log passes them on without copying. Bytes that were read from a file, or come from another node, lie
//! elsewhere and are decoded; so are those whose caller went away. Nothing depends on finding a command here.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Command, Reply};

/// Address and length.
type Place = (usize, usize);

fn place(bytes: &Bytes) -> Place {
    (bytes.as_ptr() as usize, bytes.len())
}

/// See the module's head. Bounded by the queue of the write road, whose callers hold what is in it.
#[derive(Default)]
pub(super) struct Handed(Mutex<HashMap<Place, Slot>>);

struct Slot {
    /// `None` once it is being applied.
    command: Option<Command>,
    reply: Option<Reply>,
}

impl Handed {
    /// `command` must be what `bytes` say.
    pub fn give(&self, bytes: Bytes, command: Command) -> Given<'_> {
        self.0.lock().insert(place(&bytes), Slot { command: Some(command), reply: None });
        Given { handed: self, bytes }
    }

    /// The commands among these that are known, in the places of their bytes.
    pub fn take(&self, commands: &[Bytes]) -> Vec<Option<Command>> {
        let mut slots = self.0.lock();
        commands.iter().map(|bytes| slots.get_mut(&place(bytes))?.command.take()).collect()
    }

    /// Leaves replies to commands that were [taken](Self::take). Those whose caller went away are dropped.
    pub fn answer<'b>(&self, replies: impl Iterator<Item = (&'b Bytes, Reply)>) {
        let mut slots = self.0.lock();
        for (bytes, reply) in replies {
            if let Some(slot) = slots.get_mut(&place(bytes)) {
                slot.reply = Some(reply);
            }
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// A command on its way, held by its caller.
pub struct Given<'a> {
    handed: &'a Handed,
    bytes: Bytes,
}

impl Given<'_> {
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The reply, unless it travels as bytes.
    pub fn reply(self) -> Option<Reply> {
        self.handed.0.lock().get_mut(&place(&self.bytes))?.reply.take()
    }
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        self.handed.0.lock().remove(&place(&self.bytes));
    }
}
