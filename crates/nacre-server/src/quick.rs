//! The hash of tables whose names are known when the program is built: endpoints, and what is counted of them.

use std::hash::{BuildHasherDefault, Hasher};

/// What a table is made with.
pub type Quick = BuildHasherDefault<QuickHasher>;

/// For tables of names that the program itself chose, asked on every request, at a fraction of what the usual hash takes:
/// nobody outside can make what they hold collide.
#[derive(Default)]
pub struct QuickHasher(u64);

impl QuickHasher {
    fn mix(&mut self, word: u64) {
        // Fibonacci hashing; the rotation brings the high bits, where the differences gather, to the low ones.
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_right(29);
    }
}

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            self.mix(rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }
}
