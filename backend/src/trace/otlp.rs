//! Spans in OTLP's JSON encoding (opentelemetry-proto, `trace/v1/trace.proto`): ids are
//! hexadecimal text, and numbers of 64 bits are text.

use serde_json::{Value as Json, json};

use super::{Service, Span, Value};

/// A request to the collector with these spans, by service.
pub(super) fn request(spans: &[Span], host: &str) -> String {
    let of = |service: Service| {
        let own = spans.iter().filter(|span| span.service == service);
        let own: Vec<Json> = own.map(span).collect();
        (!own.is_empty()).then(|| resource(service, host, own))
    };
    let resources: Vec<Json> = Service::ALL.into_iter().filter_map(of).collect();
    json!({ "resourceSpans": resources }).to_string()
}

fn resource(service: Service, host: &str, spans: Vec<Json>) -> Json {
    let mut attributes = vec![
        text("service.name", service.as_str()),
        text("service.version", env!("CARGO_PKG_VERSION")),
    ];
    // What an edge reports does not say which machine it runs on.
    if service != Service::Edge {
        attributes.push(text("host.name", host));
    }
    json!({
        "resource": { "attributes": attributes },
        "scopeSpans": [{ "scope": { "name": "seckill" }, "spans": spans }],
    })
}

fn span(span: &Span) -> Json {
    let mut json = json!({
        "traceId": format!("{:032x}", span.context.trace_id),
        "spanId": format!("{:016x}", span.context.span_id),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": nanoseconds(span.begin_us),
        "endTimeUnixNano": nanoseconds(span.end_us),
        "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "flags": 1,
    });
    if span.parent != 0 {
        json["parentSpanId"] = format!("{:016x}", span.parent).into();
    }
    if !span.links.is_empty() {
        let link = |context: &seckill_core::signing::trace::TraceContext| {
            json!({
                "traceId": format!("{:032x}", context.trace_id),
                "spanId": format!("{:016x}", context.span_id),
            })
        };
        json["links"] = span.links.iter().map(link).collect();
    }
    json
}

fn nanoseconds(us: u64) -> String {
    us.saturating_mul(1000).to_string()
}

fn attribute((name, value): &(&'static str, Value)) -> Json {
    match value {
        Value::Text(value) => text(name, value),
        Value::Number(number) => {
            json!({ "key": name, "value": { "intValue": number.to_string() } })
        }
    }
}

fn text(name: &str, value: &str) -> Json {
    json!({ "key": name, "value": { "stringValue": value } })
}

/// How many spans of a request the collector refused, by its response.
pub(super) fn rejected(response: &[u8]) -> usize {
    let response: Json = serde_json::from_slice(response).unwrap_or_default();
    let count = &response["partialSuccess"]["rejectedSpans"];
    // Text by the specification; some write a number.
    let number = count.as_str().map_or(count.as_u64(), |it| it.parse().ok());
    number.and_then(|it| usize::try_from(it).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use seckill_core::signing::trace::TraceContext;

    use super::super::Kind;
    use super::*;

    #[test]
    fn a_span_is_encoded_as_the_protocol_says() {
        let context = TraceContext {
            trace_id: 0xab,
            span_id: 0xcd,
            sampled: true,
        };
        let span = Span::of(context, 0xef, Service::Relay, Kind::Producer, "outbox wait")
            .since_us(1_700_000_000_000_001)
            .with("seckill.round", "1")
            .with("seckill.segment", 2);
        let span = Span {
            end_us: 1_700_000_000_000_002,
            links: vec![context],
            ..span
        };
        let request: Json = serde_json::from_str(&request(&[span], "box")).unwrap();
        let expected = json!({ "resourceSpans": [{
            "resource": { "attributes": [
                { "key": "service.name", "value": { "stringValue": "seckill-relay" } },
                { "key": "service.version", "value": { "stringValue": env!("CARGO_PKG_VERSION") } },
                { "key": "host.name", "value": { "stringValue": "box" } },
            ] },
            "scopeSpans": [{ "scope": { "name": "seckill" }, "spans": [{
                "traceId": "000000000000000000000000000000ab",
                "spanId": "00000000000000cd",
                "parentSpanId": "00000000000000ef",
                "name": "outbox wait",
                "kind": 4,
                "startTimeUnixNano": "1700000000000001000",
                "endTimeUnixNano": "1700000000000002000",
                "attributes": [
                    { "key": "seckill.round", "value": { "stringValue": "1" } },
                    { "key": "seckill.segment", "value": { "intValue": "2" } },
                ],
                "flags": 1,
                "links": [{
                    "traceId": "000000000000000000000000000000ab",
                    "spanId": "00000000000000cd",
                }],
            }] }],
        }] });
        assert_eq!(request, expected);
    }

    #[test]
    fn a_partial_success_says_how_many_were_refused() {
        assert_eq!(rejected(b"{}"), 0);
        assert_eq!(rejected(b"not JSON"), 0);
        for count in ["\"3\"", "3"] {
            let response = format!("{{\"partialSuccess\":{{\"rejectedSpans\":{count}}}}}");
            assert_eq!(rejected(response.as_bytes()), 3);
        }
    }
}
