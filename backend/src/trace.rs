//! Traces of purchases: spans are recorded here and sent to a collector (OTLP over HTTP).
//!
//! Recording never waits: a span goes into a bounded buffer, and is dropped and counted
//! when that is full. Without a collector in the settings nothing is recorded, and a
//! context that a message brings is passed on as it came.

use std::sync::OnceLock;
use std::time::Duration;

use seckill_core::signing::trace::{Ratio, TraceContext};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Traces;
use crate::metrics;
use crate::time::now_us;

/// Sends spans to the collector.
mod export;
/// Spans as OTLP wants them.
mod otlp;

/// Spans that wait to be sent: what one process records in some seconds of a sale, in a
/// few megabytes.
const BUFFER: usize = 8192;
/// How long a process that ends waits for the collector.
const FAREWELL: Duration = Duration::from_secs(2);

/// What records spans in this process, once it was started.
static TRACER: OnceLock<Tracer> = OnceLock::new();

#[derive(Debug)]
struct Tracer {
    spans: mpsc::Sender<Span>,
    ratio: Ratio,
}

/// Sends what this process records.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Exporter {
    /// Begins to record, if there is a collector. Must be called inside a runtime, once in
    /// a process; later calls record to where the first one said.
    ///
    /// # Errors
    /// The collector is called by HTTPS, and the machine's certificates cannot be read.
    pub fn start(traces: &Traces) -> std::io::Result<Option<Self>> {
        let Some(url) = &traces.url else {
            return Ok(None);
        };
        let (spans, recorded) = mpsc::channel(BUFFER);
        let stop = CancellationToken::new();
        let sending = export::Sending::to(url, stop.clone())?;
        let ratio = traces.ratio;
        if TRACER.set(Tracer { spans, ratio }).is_err() {
            return Ok(None);
        }
        let task = tokio::spawn(sending.run(recorded));
        Ok(Some(Self { task, stop }))
    }

    /// Sends what is left, as far as the collector takes it at once.
    pub async fn finish(self) {
        self.stop.cancel();
        // What did not arrive by then is lost with the process.
        let _ = tokio::time::timeout(FAREWELL, self.task).await;
    }
}

/// Whether this process records spans.
pub(crate) fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Which part of the system a span is of: a service, as collectors call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Edge,
    Purchase,
    Relay,
    Orders,
}

impl Service {
    const ALL: [Service; 4] = [
        Service::Edge,
        Service::Purchase,
        Service::Relay,
        Service::Orders,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Service::Edge => "seckill-edge",
            Service::Purchase => "seckill-purchase",
            Service::Relay => "seckill-relay",
            Service::Orders => "seckill-orders",
        }
    }
}

/// How a span relates to others, by OTLP's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(u64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// One step of a sampled trace. It is recorded when it is ended; dropped without that, it
/// never was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    service: Service,
    kind: Kind,
    name: &'static str,
    context: TraceContext,
    parent: u64,
    begin_us: u64,
    end_us: u64,
    attributes: Vec<(&'static str, Value)>,
    links: Vec<TraceContext>,
}

impl Span {
    /// Begins a span below the one that `parent`, a `traceparent`, names. `None` if there
    /// is none, if its trace is not sampled, or if this process records nothing.
    pub(crate) fn below(
        parent: Option<&str>,
        service: Service,
        kind: Kind,
        name: &'static str,
    ) -> Option<Self> {
        let parent = TraceContext::parse(parent?)?;
        Self::child(&parent, service, kind, name)
    }

    /// The same below a context that was read.
    pub(crate) fn child(
        parent: &TraceContext,
        service: Service,
        kind: Kind,
        name: &'static str,
    ) -> Option<Self> {
        if !parent.sampled || !is_on() {
            return None;
        }
        let [span_id] = random()?;
        let context = TraceContext { span_id, ..*parent };
        Some(Self::of(context, parent.span_id, service, kind, name))
    }

    /// Begins a trace of this process's own, if it is sampled.
    pub(crate) fn root(service: Service, kind: Kind, name: &'static str) -> Option<Self> {
        let context = TRACER.get()?.ratio.begin(random()?);
        context
            .sampled
            .then(|| Self::of(context, 0, service, kind, name))
    }

    /// A span that somebody else has begun, under its own context.
    pub(crate) fn of(
        context: TraceContext,
        parent: u64,
        service: Service,
        kind: Kind,
        name: &'static str,
    ) -> Self {
        let now_us = now_us();
        Self {
            service,
            kind,
            name,
            context,
            parent,
            begin_us: now_us,
            end_us: now_us,
            attributes: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Its context, for what follows from it.
    pub(crate) fn context(&self) -> TraceContext {
        self.context
    }

    /// The same span, which began then.
    pub(crate) fn since_us(self, begin_us: u64) -> Self {
        Self { begin_us, ..self }
    }

    /// Adds an attribute.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name, value.into()));
    }

    /// The same span with an attribute.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Links it with a span of another trace.
    pub(crate) fn link(&mut self, other: TraceContext) {
        self.links.push(other);
    }

    /// Ends and records it.
    pub(crate) fn end(self) {
        let now_us = now_us();
        self.end_at(now_us);
    }

    /// Records it as one that ended then. Clocks of two machines may differ: it ends no
    /// earlier than it began.
    pub(crate) fn end_at(self, end_us: u64) {
        let end_us = end_us.max(self.begin_us);
        let recorded = TRACER
            .get()
            .is_some_and(|it| it.spans.try_send(Self { end_us, ..self }).is_ok());
        if !recorded {
            metrics::SPANS_DROPPED.count();
        }
    }
}

/// Words of random bits, none of them 0; `None` if the system gives none, which is no
/// reason to fail a purchase.
fn random<const N: usize>() -> Option<[u64; N]> {
    let mut bytes = [[0; 8]; N];
    getrandom::fill(bytes.as_flattened_mut()).ok()?;
    Some(bytes.map(|word| u64::from_ne_bytes(word).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_that_finds_no_room_is_dropped_and_counted_and_nobody_waits() {
        let (spans, mut recorded) = mpsc::channel(1);
        let ratio = Ratio::parse("1").unwrap();
        // The only test of this crate that records.
        TRACER.set(Tracer { spans, ratio }).unwrap();
        let root = || Span::root(Service::Relay, Kind::Internal, "test").unwrap();
        let before = metrics::SPANS_DROPPED.value();
        let kept = root();
        kept.clone().end_at(1);
        root().end();
        root().end();
        assert_eq!(metrics::SPANS_DROPPED.value() - before, 2);
        let got = recorded.try_recv().unwrap();
        assert_eq!(got.context, kept.context);
        // It ends no earlier than it began.
        assert_eq!(got.end_us, kept.begin_us);

        let below = |text: &str| Span::below(Some(text), Service::Relay, Kind::Internal, "test");
        let parent = kept.context().to_string();
        assert_eq!(below(&parent).unwrap().parent, kept.context.span_id);
        let unsampled = parent.replace("-01", "-00");
        assert_eq!(below(&unsampled), None);
        assert_eq!(below("nonsense"), None);
    }
}
