//! Who is whose child: ids, the `traceparent` header of W3C Trace Context, and whether a trace is taken.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use nacre_wire::otlp;

/// A span as others refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub sampled: bool,
}

impl Context {
    /// The first span of a new trace.
    pub fn root() -> Self {
        let [high, low] = [random(), random()];
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&high.to_be_bytes());
        trace[8..].copy_from_slice(&low.to_be_bytes());
        Self { trace, span: random().to_be_bytes(), sampled: true }
    }

    /// Another span of the same trace.
    pub fn child(&self) -> Self {
        Self { span: random().to_be_bytes(), ..*self }
    }

    /// Reads `traceparent`: `00-TRACE-PARENT-FLAGS`, of later versions what version 00 knows. What is malformed is as if it
    /// were not there, as the standard asks.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        let (version, rest) = (text.get(..3)?, text.get(3..)?);
        let version = version.strip_suffix(b"-").and_then(hex::<1>)?;
        let known = version != [0xff] && (rest.len() == 52 || (version != [0] && rest.get(52) == Some(&b'-')));
        if !known || rest[32] != b'-' || rest[49] != b'-' {
            return None;
        }
        let (trace, span, flags) = (hex::<16>(&rest[..32])?, hex::<8>(&rest[33..49])?, hex::<1>(&rest[50..52])?);
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, sampled: flags[0] & 1 == 1 })
    }

    pub fn flags(&self) -> u32 {
        u32::from(self.sampled)
    }

    pub fn link(&self) -> otlp::Link {
        otlp::Link { trace_id: self.trace.to_vec(), span_id: self.span.to_vec(), flags: self.flags() }
    }
}

/// `N` bytes in lower-case hexadecimal.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// A share between a half and all of it, so that many servers do not ask again at the same moment.
pub fn scattered(span: Duration) -> Duration {
    span.mul_f64(0.5 + (random() >> 11) as f64 / (1_u64 << 54) as f64)
}

/// Not 0, and different from the others; nobody has to be unable to guess it.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
    }
    STATE.with(|state| {
        // SplitMix64: every value once in 2^64.
        let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(next);
        let mut mixed = (next ^ (next >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).max(1)
    })
}

/// Which traces are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Does a caller's decision count? Otherwise the ratio alone.
    pub parent_based: bool,
    /// Share of the traces that begin here, from 0 to 1.
    pub ratio: f64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// The context of a span below `parent`; `None` when it is not taken.
    pub fn begin(&self, parent: Option<&Context>) -> Option<Context> {
        match parent {
            Some(parent) if self.parent_based => parent.sampled.then(|| parent.child()),
            Some(parent) => self.takes(&parent.trace).then(|| Context { sampled: true, ..parent.child() }),
            None if self.ratio <= 0.0 => None,
            None => Some(Context::root()).filter(|context| self.takes(&context.trace)),
        }
    }

    /// By the lower bytes of the trace's id, so that all services take the same traces at the same ratio.
    fn takes(&self, trace: &[u8; 16]) -> bool {
        let low = u64::from_be_bytes(std::array::from_fn(|at| trace[8 + at])) >> 1;
        // 1.0 must take all, and rounding must not make it otherwise.
        self.ratio >= 1.0 || (low as f64) < self.ratio.max(0.0) * (1_u64 << 63) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_standard_is_read() {
        let parent = Context::parse(PARENT).unwrap();
        assert_eq!(parent.trace[..4], [0x4b, 0xf9, 0x2f, 0x35]);
        assert_eq!(parent.span, [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert!(parent.sampled);
        assert!(!Context::parse(&PARENT.replace("-01", "-02")).unwrap().sampled);
    }

    #[test]
    fn what_is_malformed_is_as_if_it_were_not_there() {
        for text in [
            "",
            "00",
            "00-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e473\u{e9}-00f067aa0ba902b7-0",
        ] {
            assert_eq!(Context::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = PARENT.replacen("00", "01", 1);
        assert_eq!(Context::parse(&format!("{later}-more")), Context::parse(PARENT));
        assert_eq!(Context::parse(&later), Context::parse(PARENT));
        assert_eq!(Context::parse(&format!("{later}more")), None);
    }

    #[test]
    fn ids_differ_and_are_never_zero() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| Context::root()).collect();
        assert_eq!(ids.len(), 10_000);
        let traces: std::collections::HashSet<_> = ids.iter().map(|context| context.trace).collect();
        assert_eq!(traces.len(), 10_000);
    }

    #[test]
    fn pauses_are_scattered_and_never_longer() {
        let second = Duration::from_secs(1);
        let pauses: std::collections::HashSet<_> = (0..1_000).map(|_| scattered(second)).collect();
        assert!(pauses.len() > 900);
        assert!(pauses.iter().all(|pause| (second / 2..=second).contains(pause)));
    }

    #[test]
    fn a_caller_decides_for_its_trace() {
        let taken = Context::parse(PARENT).unwrap();
        let left = Context { sampled: false, ..taken };
        let sampler = Sampler { parent_based: true, ratio: 0.0 };
        let child = sampler.begin(Some(&taken)).unwrap();
        assert_eq!((child.trace, child.sampled), (taken.trace, true));
        assert_ne!(child.span, taken.span);
        assert_eq!(Sampler { parent_based: true, ratio: 1.0 }.begin(Some(&left)), None);
        assert!(Sampler { parent_based: false, ratio: 1.0 }.begin(Some(&left)).unwrap().sampled);
        assert_eq!(sampler.begin(None), None);
    }

    #[test]
    fn about_the_asked_share_is_taken() {
        for ratio in [0.0, 0.1, 0.5, 1.0] {
            let sampler = Sampler { parent_based: true, ratio };
            let taken = (0..20_000).filter(|_| sampler.begin(None).is_some()).count() as f64;
            // Seven standard deviations.
            assert!((taken / 20_000.0 - ratio).abs() < 0.025, "{ratio}: {taken}");
        }
    }
}
