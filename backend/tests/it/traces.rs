//! One purchase is one trace, as a collector sees it that takes OTLP over HTTP.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::AsyncCommands as _;
use seckill_core::keys;
use seckill_core::signing::trace::{GateSpan, HEADER, TRACEPARENT, TraceContext};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::common::receivers::http_server;
use crate::common::shop::{admitted, click};
use crate::common::{
    DEADLINE, TestRedis, eventually, hidden_url, now_ms, program, put_on_sale, ring,
};

/// What a collector got, and how it answers.
#[derive(Clone)]
struct Collector {
    requests: Arc<Mutex<Vec<Value>>>,
    status: Arc<Mutex<Option<StatusCode>>>,
}

impl Collector {
    /// One that answers so; `None` for one that never answers.
    async fn on(listener: TcpListener, status: Option<StatusCode>) -> Self {
        async fn take(
            State(own): State<Collector>,
            body: Bytes,
        ) -> Result<Json<Value>, StatusCode> {
            let request = serde_json::from_slice(&body).unwrap();
            own.requests.lock().unwrap().push(request);
            let status = *own.status.lock().unwrap();
            match status {
                Some(StatusCode::OK) => Ok(Json(json!({}))),
                Some(other) => Err(other),
                None => std::future::pending().await,
            }
        }
        let collector = Self {
            requests: Arc::default(),
            status: Arc::new(Mutex::new(status)),
        };
        let app = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        collector
    }

    /// All spans, each with the name of its service.
    fn spans(&self) -> Vec<(String, Value)> {
        let mut spans = Vec::new();
        for request in self.requests.lock().unwrap().iter() {
            for resource in request["resourceSpans"].as_array().unwrap() {
                let service = attribute(&resource["resource"], "service.name").unwrap();
                let of_service = resource["scopeSpans"][0]["spans"].as_array().unwrap();
                spans.extend(of_service.iter().map(|it| (service.clone(), it.clone())));
            }
        }
        spans
    }

    fn named(&self, name: &str) -> Vec<Value> {
        let spans = self.spans().into_iter().map(|(_, span)| span);
        spans.filter(|span| span["name"] == name).collect()
    }

    /// The span of this name in a trace.
    fn of(&self, context: &TraceContext, name: &str) -> Option<Value> {
        let trace = format!("{:032x}", context.trace_id);
        let mut named = self.named(name).into_iter();
        named.find(|span| span["traceId"] == *trace)
    }

    async fn until(&self, name: &str, count: usize) -> Vec<Value> {
        eventually(name, || async {
            let found = self.named(name);
            (found.len() >= count).then_some(found)
        })
        .await
    }
}

fn attribute(of: &Value, key: &str) -> Option<String> {
    let all = of["attributes"].as_array()?;
    let value = &all.iter().find(|it| it["key"] == key)?["value"];
    let text = value["stringValue"].as_str().or(value["intValue"].as_str());
    text.map(str::to_owned)
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// A Redis with a product on sale, and a folder for the roles.
struct Site {
    redis: TestRedis,
    folder: TempDir,
}

/// Roles in a process of their own, ended when dropped.
struct Roles {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Site {
    async fn open() -> Self {
        let redis = TestRedis::start().await;
        put_on_sale(&redis.link().await, 10).await;
        let folder = TempDir::new().unwrap();
        for (name, kid, secret) in [("keys", "k1", "s"), ("notify-keys", "p1", "p")] {
            let path = folder.path().join(name);
            fs::write(&path, format!("{kid} {}\n", secret.repeat(32))).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
        Self { redis, folder }
    }

    async fn run(&self, roles: &str, settings: &[(&str, &str)]) -> Roles {
        let path = |name: String| self.folder.path().join(name);
        let (socket, log) = (path(format!("{roles}.sock")), path(format!("{roles}.log")));
        let serves = roles.contains("purchase");
        let listen = match serves {
            true => "SECKILL_PURCHASE_LISTEN",
            false => "SECKILL_STATUS_LISTEN",
        };
        let child = program()
            .args(["serve", "--roles", roles])
            .env("SECKILL_DATA", self.folder.path())
            .env("SECKILL_REDIS_URL", self.redis.url())
            .env(listen, format!("unix:{}", socket.display()))
            .envs(settings.iter().copied())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let roles = Roles { child, socket, log };
        eventually("the roles are ready", || async {
            let text = roles.call("GET /readyz HTTP/1.1", "")?;
            text.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
        roles
    }

    async fn queued(&self) -> u64 {
        let mut conn = self.redis.link().await.conn().await.unwrap();
        conn.xlen(keys::QUEUE_ORDERS).await.unwrap()
    }
}

impl Roles {
    /// The whole response; `None` while nobody listens.
    fn call(&self, line: &str, headers: &str) -> Option<String> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let tail = "Host: shop\r\nConnection: close\r\nContent-Length: 0\r\n";
        write!(stream, "{line}\r\n{headers}{tail}\r\n").ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        Some(response)
    }

    /// Sends a click with more headers; it must be accepted.
    fn buys(&self, request: &Request<Body>, more: &[(&str, &str)]) {
        let own = request.headers().iter();
        let own = own.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let headers = own.chain(more.iter().copied());
        let headers: String = headers.map(|(k, v)| format!("{k}: {v}\r\n")).collect();
        let line = format!("POST {} HTTP/1.1", request.uri());
        let response = self.call(&line, &headers).expect("the role answers");
        assert!(response.starts_with("HTTP/1.1 202"), "{response}");
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn dropped(&self) -> u64 {
        let metrics = self.call("GET /metrics HTTP/1.1", "").unwrap();
        let name = "seckill_spans_dropped_total ";
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().parse().unwrap()
    }

    /// Ends them, and waits until they have.
    fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        self.end();
    }
}

const ALL: &str = "purchase,relay,orders";
const CONTEXT: TraceContext = TraceContext {
    trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
    span_id: 0xa,
    sampled: true,
};

fn gate_span() -> GateSpan {
    GateSpan {
        begin_us: now_ms() * 1000 - 5_000,
        end_us: now_ms() * 1000,
        parent: 0xb,
    }
}

/// A click that an edge passes on.
fn passed_on(user: &str, request: &str) -> Request<Body> {
    admitted(&hidden_url(user), user, request, "e.l.1")
}

fn id(span: &Value, key: &str) -> u64 {
    u64::from_str_radix(span[key].as_str().unwrap(), 16).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_purchase_is_one_trace_from_the_gate_to_the_notification() {
    let (listener, url) = listener().await;
    let collector = Collector::on(listener, Some(StatusCode::OK)).await;
    let (hook, inbox) = http_server(&[]).await;
    let settings = [
        ("SECKILL_OTLP_URL", url.as_str()),
        ("SECKILL_TRACE_RATIO", "0"),
        ("SECKILL_NOTIFY_WEBHOOK", hook.as_str()),
    ];
    let site = Site::open().await;
    let roles = site.run(ALL, &settings).await;
    // None of these is sampled: by an edge's decision, a stranger's wish, another
    // request's signature, and this process's ratio.
    let foreign = TraceContext {
        trace_id: 0xf0,
        ..CONTEXT
    };
    let traceparent = foreign.to_string();
    let unsampled = traceparent.replace("-01", "-00");
    let report = gate_span().sign(&foreign, "r-1", ring().first());
    let (mine, signed) = ((TRACEPARENT, &*traceparent), (HEADER, &*report));
    roles.buys(&passed_on("wang", "r-2"), &[(TRACEPARENT, &unsampled)]);
    roles.buys(&passed_on("zhao", "r-3"), &[mine]);
    roles.buys(&passed_on("qian", "r-4"), &[mine, signed]);
    roles.buys(&click("sun", "r-5", None), &[mine]);
    // On a busy machine Redis may reply too late for the role to know: then once more.
    let mut context = CONTEXT;
    let script = loop {
        let user = format!("somebody-{}", context.trace_id - CONTEXT.trace_id);
        let report = gate_span().sign(&context, "r-1", ring().first());
        let traceparent = context.to_string();
        let sampled = [(TRACEPARENT, &*traceparent), (HEADER, &*report)];
        roles.buys(&passed_on(&user, "r-1"), &sampled);
        let script = eventually("the script is in the trace", || async {
            collector.of(&context, "stock script")
        })
        .await;
        if attribute(&script, "seckill.outcome").as_deref() == Some("accepted") {
            break script;
        }
        context.trace_id += 1;
    };
    eventually("its buyer is notified", || async {
        collector.of(&context, "notify buyer")
    })
    .await;
    eventually("all buyers are notified", || async {
        (inbox.got().len() >= 5).then_some(())
    })
    .await;
    roles.stop();
    let all = collector.spans();
    let trace = format!("{:032x}", context.trace_id);
    let (spans, others): (Vec<_>, Vec<_>) =
        all.iter().partition(|(_, span)| span["traceId"] == *trace);
    let attempted = |span: &Value| {
        let id = u128::from_str_radix(span["traceId"].as_str().unwrap(), 16).unwrap();
        (CONTEXT.trace_id..context.trace_id).contains(&id)
    };
    assert!(
        others.iter().all(|(_, span)| attempted(span)),
        "{others:#?}"
    );
    let path = [
        ("seckill-edge", "gate"),
        ("seckill-purchase", "purchase"),
        ("seckill-purchase", "stock script"),
        ("seckill-relay", "outbox wait"),
        ("seckill-orders", "queue wait"),
        ("seckill-orders", "place order"),
        ("seckill-orders", "notify buyer"),
    ];
    assert_eq!(spans.len(), path.len(), "{spans:#?}");
    let mut parent = 0xb;
    for (service, name) in path {
        let (of, span) = spans.iter().find(|it| it.1["name"] == name).unwrap();
        assert_eq!(of, service, "{name}");
        assert_eq!(id(span, "parentSpanId"), parent, "{name}");
        parent = id(span, "spanId");
        let at = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(at("startTimeUnixNano") <= at("endTimeUnixNano"), "{span}");
        assert!(at("startTimeUnixNano") / 1_000_000 <= now_ms(), "{span}");
    }
    let said = |name: &str, key: &str| attribute(&collector.of(&context, name)?, key);
    let outcomes = [
        ("purchase", "processing"),
        ("stock script", "accepted"),
        ("place order", "placed"),
        ("notify buyer", "sent"),
    ];
    for (name, outcome) in outcomes {
        assert_eq!(said(name, "seckill.outcome").as_deref(), Some(outcome));
    }
    assert_eq!(said("purchase", "seckill.round").as_deref(), Some("1"));
    assert_eq!(said("purchase", "seckill.product").as_deref(), Some("153"));
    assert_eq!(said("purchase", "seckill.permit").as_deref(), Some("e.l.1"));
    let order = attribute(&script, "seckill.order").unwrap();
    for name in ["place order", "notify buyer"] {
        assert_eq!(said(name, "seckill.order").as_ref(), Some(&order));
    }
    // The receiver of the notification continues the trace.
    let got = inbox.got();
    let sent = got.iter().filter_map(|it| it.0.get(TRACEPARENT));
    let sent: Vec<_> = sent.map(|it| it.to_str().unwrap()).collect();
    let expected = TraceContext {
        span_id: parent,
        ..context
    };
    assert!(sent.contains(&&*expected.to_string()), "{sent:?}");
    // Nobody's name, and nothing by which somebody could buy.
    let everything = format!("{all:?}");
    for secret in ["somebody", "/buy/", "sssss", &report] {
        assert!(!everything.contains(secret), "{secret} in {everything}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_edge_a_trace_begins_here_and_orders_placed_together_are_linked() {
    let (listener, url) = listener().await;
    let collector = Collector::on(listener, Some(StatusCode::OK)).await;
    let settings = [
        ("SECKILL_OTLP_URL", url.as_str()),
        ("SECKILL_TRACE_RATIO", "1"),
    ];
    let site = Site::open().await;
    let sells = site.run("purchase,relay", &settings).await;
    sells.buys(&click("li", "r-1", None), &[]);
    sells.buys(&click("wang", "r-2", None), &[]);
    eventually("both are in the queue", || async {
        (site.queued().await == 2).then_some(())
    })
    .await;
    let _places = site.run("orders", &settings).await;
    let placed = collector.until("place order", 2).await;
    let purchases = collector.until("purchase", 2).await;
    let ids = |spans: &[Value]| -> BTreeSet<String> {
        let ids = spans.iter().map(|it| it["traceId"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    };
    assert_eq!(ids(&placed).len(), 2, "two purchases are two traces");
    assert_eq!(ids(&placed), ids(&purchases));
    for purchase in &purchases {
        assert_eq!(purchase.get("parentSpanId"), None);
    }
    for (one, other) in [(0, 1), (1, 0)] {
        let expected = json!([{
            "traceId": placed[other]["traceId"],
            "spanId": placed[other]["spanId"],
        }]);
        assert_eq!(placed[one]["links"], expected);
    }
    assert!(collector.named("gate").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_delays_no_purchase() {
    let (listener, url) = listener().await;
    let collector = Collector::on(listener, None).await;
    let settings = [
        ("SECKILL_OTLP_URL", url.as_str()),
        ("SECKILL_TRACE_RATIO", "1"),
    ];
    let site = Site::open().await;
    let roles = site.run(ALL, &settings).await;
    roles.buys(&click("li", "r-1", None), &[]);
    // From now on it holds a request.
    collector.until("purchase", 1).await;
    for n in 0..5 {
        let user = format!("u{n}");
        roles.buys(&click(&user, "r", None), &[]);
    }
    let cookie = crate::common::cookie("u4");
    eventually("the order is placed all the same", || async {
        let line = "GET /api/rounds/1/products/153/result HTTP/1.1";
        let text = roles.call(line, &format!("cookie: {cookie}\r\n"))?;
        text.contains("\"ordered\"").then_some(())
    })
    .await;
    let again = eventually("it is reported", || async {
        let log = roles.log();
        let lines = log.matches("traces do not reach their collector").count();
        (lines > 0).then_some(lines)
    })
    .await;
    assert_eq!(again, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_wait_for_a_collector_that_is_away_and_are_counted_if_it_refuses_them() {
    let (away, url) = listener().await;
    let address = away.local_addr().unwrap();
    drop(away);
    let settings = [
        ("SECKILL_OTLP_URL", url.as_str()),
        ("SECKILL_TRACE_RATIO", "1"),
    ];
    let site = Site::open().await;
    let roles = site.run("purchase", &settings).await;
    roles.buys(&click("li", "r-1", None), &[]);
    let away = "traces do not reach their collector";
    eventually("it is reported", || async {
        roles.log().contains(away).then_some(())
    })
    .await;
    roles.buys(&click("wang", "r-2", None), &[]);
    let listener = TcpListener::bind(address).await.unwrap();
    let collector = Collector::on(listener, Some(StatusCode::OK)).await;
    collector.until("purchase", 2).await;
    eventually("that it is back is reported", || async {
        let back = "traces reach their collector again";
        roles.log().contains(back).then_some(())
    })
    .await;
    assert_eq!(roles.log().matches(away).count(), 1, "{}", roles.log());
    assert_eq!(roles.dropped(), 0);

    *collector.status.lock().unwrap() = Some(StatusCode::BAD_REQUEST);
    roles.buys(&click("zhao", "r-3", None), &[]);
    eventually("what it refuses is counted", || async {
        (roles.dropped() == 2).then_some(())
    })
    .await;
}
