//! Which subjects a segment knows: a Bloom filter of fixed size, so that a query passes over segments without them.

/// 64 KiB: a segment of a hundred thousand subjects answers "perhaps" wrongly one time in ten.
pub const BYTES: usize = 64 * 1024;
const PROBES: u64 = 4;

/// What a hash is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    Service = 1,
    Config = 2,
    Instance = 3,
    Client = 4,
    /// A list of a service's instances.
    Base = 5,
}

#[derive(Clone)]
pub struct Bloom(Box<[u8]>);

impl Default for Bloom {
    fn default() -> Self {
        Self(vec![0; BYTES].into())
    }
}

impl Bloom {
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == BYTES).then(|| Self(bytes.into()))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn add(&mut self, tag: Tag, hash: u32) {
        for bit in bits(tag, hash) {
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// False means certainly not.
    pub fn maybe(&self, tag: Tag, hash: u32) -> bool {
        bits(tag, hash).all(|bit| self.0[bit / 8] & (1 << (bit % 8)) != 0)
    }
}

fn bits(tag: Tag, hash: u32) -> impl Iterator<Item = usize> {
    // splitmix64's finisher: two independent halves of one word.
    let mut word = (u64::from(tag as u8) << 32 | u64::from(hash)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^= word >> 31;
    let (first, second) = (word & 0xFFFF_FFFF, (word >> 32) | 1);
    (0..PROBES).map(move |probe| (first.wrapping_add(probe.wrapping_mul(second)) % (BYTES as u64 * 8)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_most_else_is_not() {
        let mut bloom = Bloom::default();
        for hash in 0..50_000u32 {
            bloom.add(Tag::Instance, hash.wrapping_mul(2_654_435_761));
        }
        assert!((0..50_000u32).all(|hash| bloom.maybe(Tag::Instance, hash.wrapping_mul(2_654_435_761))));
        let wrong = (0..50_000u32).filter(|hash| bloom.maybe(Tag::Client, hash.wrapping_mul(2_654_435_761))).count();
        assert!(wrong < 5_000, "{wrong} of 50,000 are taken for known");
        let again = Bloom::from_bytes(bloom.bytes()).unwrap();
        assert!(again.maybe(Tag::Instance, 2_654_435_761) && !Bloom::default().maybe(Tag::Instance, 1));
    }
}
