//! One purchase is one trace: its context (W3C Trace Context) on the way through edge,
//! back end and queue, and the edge's word that it is to be recorded.
//!
//! Recording costs, so that no stranger decides on it: an edge begins a trace of its own,
//! and a sampled one reaches the back end with a signature. Whoever claims that a trace
//! is *not* sampled is believed, since that costs nothing.

use std::fmt;

use crate::signing::keyring::{Digest, Key, Keyring, Purpose};

/// The header with the context, as W3C names it.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what the gate reports of a sampled trace, signed.
pub const HEADER: &str = "x-seckill-trace";

/// A place in a trace: what follows from it is its child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace, not 0.
    pub trace_id: u128,
    /// The span in it, not 0.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`. One of a later version is read as far as this version goes,
    /// as the specification wants it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (known, rest) = text.split_at_checked(55)?;
        let mut parts = known.split('-');
        let version = hex(parts.next()?, 2)?;
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let trace_id = hex(parts.next()?, 32)?;
        let span_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = hex(parts.next()?, 2)?;
        let is_valid = is_whole && parts.next().is_none() && trace_id != 0 && span_id != 0;
        is_valid.then_some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(
            f,
            "00-{:032x}-{:016x}-{flags:02x}",
            self.trace_id, self.span_id
        )
    }
}

/// A number of exactly so many hexadecimal digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_number = text.len() == digits && text.bytes().all(is_digit);
    is_number.then(|| u128::from_str_radix(text, 16).ok())?
}

/// The share of all traces that is recorded. Whoever has the same ratio decides the same
/// of a trace, since its id decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// Ids whose last 56 bits are below this are not sampled (OpenTelemetry's consistent
    /// probability sampling).
    below: u64,
}

/// One more than the largest number of 56 bits.
const RANDOM: u64 = 1 << 56;

impl Ratio {
    /// One trace in a hundred.
    pub const DEFAULT: Self = Self {
        below: RANDOM / 100 * 99,
    };

    /// Reads a number from 0 to 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ratio: f64 = text.parse().ok()?;
        // The product is within 0 and 2^56, all of whose integers a u64 has.
        (0.0..=1.0).contains(&ratio).then_some(Self {
            below: ((1.0 - ratio) * RANDOM as f64) as u64,
        })
    }

    /// Whether the trace of this id is sampled.
    #[must_use]
    pub fn takes(self, trace_id: u128) -> bool {
        (trace_id % u128::from(RANDOM)) as u64 >= self.below
    }

    /// The root of a new trace, from random bits.
    #[must_use]
    pub fn begin(self, random: [u64; 3]) -> TraceContext {
        let [high, low, span] = random;
        let trace_id = (u128::from(high) << 64 | u128::from(low)).max(1);
        TraceContext {
            trace_id,
            span_id: span.max(1),
            sampled: self.takes(trace_id),
        }
    }
}

/// What an edge does about traces (`seckill_trace`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracing {
    /// Whether it continues traces that come with a request, because a proxy of the site's
    /// own has begun them.
    pub trusted: bool,
    /// The share of those that begin here.
    pub ratio: Ratio,
}

impl Tracing {
    /// The context of the gate's span, and its parent's id, 0 for none. `given` is the
    /// request's `traceparent`, if it has exactly one.
    #[must_use]
    pub fn enter(&self, given: Option<&str>, random: [u64; 3]) -> (TraceContext, u64) {
        let given = given.filter(|_| self.trusted);
        match given.and_then(TraceContext::parse) {
            Some(parent) => {
                let span_id = random[2].max(1);
                (TraceContext { span_id, ..parent }, parent.span_id)
            }
            None => (self.ratio.begin(random), 0),
        }
    }
}

/// What an edge reports of its gate in a sampled trace. The request's context names the
/// gate's span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateSpan {
    /// When the request came, epoch microseconds.
    pub begin_us: u64,
    /// When the gate passed it on, epoch microseconds.
    pub end_us: u64,
    /// The span that the gate's is a child of; 0 for none.
    pub parent: u64,
}

impl GateSpan {
    /// The header's value, `{begin}.{end}.{parent}.{kid}.{digest}`. It is good for one
    /// request and one context.
    #[must_use]
    pub fn sign(&self, context: &TraceContext, request: &str, key: &Key) -> String {
        let head = self.head();
        let fields = [&*context.to_string(), request, &head];
        let text = key.sign(Purpose::Trace, Digest::HmacSha256, &fields);
        format!("{head}.{}.{text}", key.kid())
    }

    /// Reads the header; `None` if no edge wrote it for this request and context.
    #[must_use]
    pub fn read(
        header: &str,
        context: &TraceContext,
        request: &str,
        ring: &Keyring,
    ) -> Option<Self> {
        let mut parts = header.split('.');
        let mut next = || parts.next();
        let (begin, end, parent, kid, text) = (next()?, next()?, next()?, next()?, next()?);
        let span = Self {
            begin_us: begin.parse().ok()?,
            end_us: end.parse().ok()?,
            parent: u64::try_from(hex(parent, 16)?).ok()?,
        };
        let fields = [&*context.to_string(), request, &span.head()];
        let key = ring.find(kid)?;
        let is_signed = key.verify(Purpose::Trace, Digest::HmacSha256, &fields, text);
        (is_signed && parts.next().is_none()).then_some(span)
    }

    fn head(&self) -> String {
        format!("{}.{}.{:016x}", self.begin_us, self.end_us, self.parent)
    }
}

/// Stands for a buyer in traces: the same for all their purchases under one key, and
/// nobody without the key can say whose it is.
#[must_use]
pub fn pseudonym(user: &str, key: &Key) -> String {
    let mut text = key.sign(Purpose::Trace, Digest::HmacSha256, &["buyer", user]);
    text.truncate(16);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_reads_as_it_is_written() {
        let context = TraceContext::parse(TEXT).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), TEXT);
        // Flags of later versions are not passed on.
        let odd = TEXT.replace("-01", "-0a");
        assert!(!TraceContext::parse(&odd).unwrap().sampled);
    }

    #[test]
    fn a_later_version_is_read_and_what_is_malformed_is_not() {
        let later = TEXT.replacen("00", "01", 1);
        assert!(TraceContext::parse(&later).is_some());
        assert!(TraceContext::parse(&format!("{later}-more")).is_some());
        let zero_trace = TEXT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let bad = [
            String::new(),
            "00".into(),
            TEXT.replacen("00", "ff", 1),
            TEXT.to_uppercase(),
            format!("{TEXT}-more"),
            format!("{later}more"),
            zero_trace,
            TEXT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            TEXT.replace("4bf9", "4bg9"),
            TEXT.replace("4bf9", "+bf9"),
            TEXT.replacen('-', "_", 1),
            format!("é{}", &TEXT[..54]),
        ];
        for text in bad {
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn the_id_decides_and_the_ratio_holds() {
        let ratio = |text| Ratio::parse(text).unwrap();
        assert!(!ratio("0").takes(u128::MAX) && ratio("1").takes(1));
        assert_eq!(ratio("0.01").below / 1000, Ratio::DEFAULT.below / 1000);
        for bad in ["-0.1", "1.1", "NaN", "half", ""] {
            assert_eq!(Ratio::parse(bad), None, "{bad}");
        }
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let taken = (0..100_000_u64)
            .filter(|n| ratio("0.01").takes(u128::from(n.wrapping_mul(step))))
            .count();
        assert!((900..=1100).contains(&taken), "{taken}");
    }

    #[test]
    fn only_a_trusted_proxys_trace_is_continued() {
        let random = [1, 2, 3];
        let mut tracing = Tracing {
            trusted: false,
            ratio: Ratio::parse("0").unwrap(),
        };
        let (own, parent) = tracing.enter(Some(TEXT), random);
        assert_eq!((own.trace_id, own.sampled, parent), (1 << 64 | 2, false, 0));
        tracing.trusted = true;
        let (continued, parent) = tracing.enter(Some(TEXT), random);
        let theirs = TraceContext::parse(TEXT).unwrap();
        assert_eq!(continued.trace_id, theirs.trace_id);
        assert!(continued.sampled);
        assert_eq!((continued.span_id, parent), (3, theirs.span_id));
        assert_eq!(tracing.enter(Some("00-nonsense"), random), (own, 0));
        assert_eq!(tracing.enter(None, random), (own, 0));
    }

    #[test]
    fn a_gates_report_is_good_for_its_own_request_and_trace() {
        let ring = Keyring::parse(&format!("k1 {}", "s".repeat(32))).unwrap();
        let context = TraceContext::parse(TEXT).unwrap();
        let span = GateSpan {
            begin_us: 1_700_000_000_000_000,
            end_us: 1_700_000_000_000_900,
            parent: 7,
        };
        let header = span.sign(&context, "r-1", ring.first());
        assert_eq!(GateSpan::read(&header, &context, "r-1", &ring), Some(span));
        assert_eq!(GateSpan::read(&header, &context, "r-2", &ring), None);
        let other = TraceContext {
            span_id: 9,
            ..context
        };
        assert_eq!(GateSpan::read(&header, &other, "r-1", &ring), None);
        let later = header.replacen("900", "901", 1);
        assert_eq!(GateSpan::read(&later, &context, "r-1", &ring), None);
        for bad in ["", "1.2.3", &format!("{header}.more")] {
            assert_eq!(GateSpan::read(bad, &context, "r-1", &ring), None, "{bad}");
        }
    }

    #[test]
    fn a_pseudonym_names_nobody() {
        let ring = |secret: &str| Keyring::parse(&format!("k1 {}", secret.repeat(32))).unwrap();
        let (one, other) = (ring("s"), ring("t"));
        let name = pseudonym("li", one.first());
        assert_eq!((name.len(), &name), (16, &pseudonym("li", one.first())));
        assert_ne!(name, pseudonym("wang", one.first()));
        assert_ne!(name, pseudonym("li", other.first()));
    }
}
