//! Deadlines, in buckets of 50 ms. An entry fires once and is armed again by whoever it fires for, at the moment that is
//! right by then: a beat costs no timer, and a tick costs what is due.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    InstanceRef,
    client::{Client, Publication},
    slot::Slot,
};

/// Milliseconds of one bucket.
const BUCKET_MS: u64 = 50;

/// Value of an `armed` field without an entry in the wheel.
pub(crate) const UNARMED: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) enum Timer {
    /// Is the instance still beating?
    Beat(Arc<Publication>),
    /// Does the client still publish, subscribe, poll?
    Client(Arc<Client>),
    /// Is the service still empty?
    Empty(Arc<Slot>),
    /// Has the operator's record of a departed instance outlived its time?
    Record(Box<(Arc<Slot>, InstanceRef)>),
    /// Has the metadata of a cleaned service outlived its time?
    ServiceMetadata(Arc<Slot>),
    /// Did protection of the service begin or end?
    Protection(Arc<Slot>),
}

#[derive(Debug, Default)]
pub(crate) struct Wheel {
    buckets: BTreeMap<u32, Vec<Timer>>,
}

impl Wheel {
    /// The first bucket that is wholly at or after `deadline`. Buckets last for six years of one process.
    pub fn bucket(deadline: u64) -> u32 {
        u32::try_from(deadline.div_ceil(BUCKET_MS)).unwrap_or(UNARMED - 1).min(UNARMED - 1)
    }

    pub fn push(&mut self, bucket: u32, timer: Timer) {
        self.buckets.entry(bucket).or_default().push(timer);
    }

    /// Takes what is due at `now`, earliest first, with the bucket it was in; at most `limit` entries, the rest stays.
    pub fn due(&mut self, now: u64, limit: usize) -> Vec<(u32, Vec<Timer>)> {
        let mut due = Vec::new();
        let mut left = limit;
        while let Some(mut first) = self.buckets.first_entry()
            && u64::from(*first.key()) <= now / BUCKET_MS
            && left > 0
        {
            let bucket = *first.key();
            let length = first.get().len();
            let taken = if length > left { first.get_mut().split_off(length - left) } else { first.remove() };
            left -= taken.len();
            due.push((bucket, taken));
        }
        due
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.buckets.values().map(Vec::len).sum()
    }
}
