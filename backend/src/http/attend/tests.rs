use std::time::Duration;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::task::{JoinHandle, JoinSet};

use super::*;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with this many slots, in a folder of its own.
struct Server {
    folder: tempfile::TempDir,
    stop: CancellationToken,
    served: JoinHandle<()>,
    /// Notified when a request for `/slow` arrives.
    slow: Arc<Notify>,
}

impl Server {
    fn with_slots(slots: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let slow = Arc::new(Notify::new());
        let begun = Arc::clone(&slow);
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/echo", post(async |body: String| body))
            .route("/unread", post(async || "not read"))
            .route(
                "/slow",
                get(async move || {
                    begun.notify_one();
                    sleep(Duration::from_millis(300)).await;
                    "slow"
                }),
            );
        let stop = CancellationToken::new();
        Self {
            folder,
            served: tokio::spawn(serve(listener, router, slots, stop.clone(), || {})),
            stop,
            slow,
        }
    }

    async fn connect(&self) -> UnixStream {
        let path = self.folder.path().join("socket");
        timeout(PATIENCE, UnixStream::connect(path))
            .await
            .unwrap()
            .unwrap()
    }
}

async fn send(stream: &mut UnixStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn request(stream: &mut UnixStream) {
    send(stream, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
}

/// Reads until `end` has come; returns what was read.
async fn read_until(stream: &mut UnixStream, end: &str) -> String {
    let mut text = Vec::new();
    let reading = async {
        while !text.ends_with(end.as_bytes()) {
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "it ended");
        }
    };
    timeout(PATIENCE, reading).await.expect("a response");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn more_connections_than_slots_are_all_answered_and_stay_open() {
    let server = Server::with_slots(2);
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(server.connect().await);
    }
    let mut clients = JoinSet::new();
    for mut stream in streams {
        clients.spawn(async move {
            for _ in 0..3 {
                request(&mut stream).await;
                let response = read_until(&mut stream, "here").await;
                assert!(response.starts_with("HTTP/1.1 200"), "{response}");
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_a_request_delays_no_other() {
    let server = Server::with_slots(1);
    let mut half = server.connect().await;
    send(&mut half, "GET / HTTP/1.1\r\nho").await;
    for _ in 0..3 {
        let mut other = server.connect().await;
        request(&mut other).await;
        read_until(&mut other, "here").await;
    }
    send(&mut half, "st: a\r\n\r\n").await;
    read_until(&mut half, "here").await;
}

#[tokio::test]
async fn requests_that_come_together_are_all_answered() {
    let server = Server::with_slots(1);
    let mut stream = server.connect().await;
    let mut other = server.connect().await;
    let one = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    send(&mut stream, &format!("{one}{one}GET /slow HTTP/1.1\r\n")).await;
    request(&mut other).await;
    read_until(&mut other, "here").await;
    send(&mut stream, "host: a\r\n\r\n").await;
    let responses = read_until(&mut stream, "slow").await;
    assert_eq!(responses.matches("here").count(), 2, "{responses}");
}

#[tokio::test]
async fn bodies_arrive_whole_and_what_is_left_of_one_is_never_taken_for_a_request() {
    let server = Server::with_slots(1);
    let mut stream = server.connect().await;
    let mut other = server.connect().await;
    send(
        &mut stream,
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc",
    )
    .await;
    send(&mut stream, "def").await;
    read_until(&mut stream, "abcdef").await;
    request(&mut other).await;
    read_until(&mut other, "here").await;

    let mut stream = server.connect().await;
    send(
        &mut stream,
        "POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 200\r\n\r\nGET / HTTP/1.1\r\n",
    )
    .await;
    read_until(&mut stream, "not read").await;
    request(&mut other).await;
    read_until(&mut other, "here").await;
    // It may be closed by now; a response must not come.
    let _ = stream.write_all(b"host: a\r\n\r\n").await;
    let mut more = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut more)).await;
    assert!(ended.is_ok(), "it stays open with half a body unread");
    assert!(more.is_empty(), "{}", String::from_utf8_lossy(&more));
}

#[tokio::test]
async fn at_the_end_requests_under_way_are_finished_and_idle_connections_closed() {
    let server = Server::with_slots(4);
    let mut idle = server.connect().await;
    request(&mut idle).await;
    read_until(&mut idle, "here").await;
    let mut slow = server.connect().await;
    send(&mut slow, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    timeout(PATIENCE, server.slow.notified()).await.unwrap();
    server.stop.cancel();
    read_until(&mut slow, "slow").await;
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, idle.read_to_end(&mut rest)).await;
    assert_eq!(ended.unwrap().unwrap(), 0);
    timeout(PATIENCE, server.served).await.unwrap().unwrap();
}

/// Returns once the server has seen that it is to stop: then it begins no other task.
async fn stopped(server: &Server) {
    server.stop.cancel();
    tokio::task::yield_now().await;
}

/// A proxy keeps connections, and sends a request on one just when the server is stopped.
#[tokio::test]
async fn a_request_on_its_way_while_the_server_is_stopped_is_the_last_of_its_connection() {
    let server = Server::with_slots(4);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        request(&mut stream).await;
        read_until(&mut stream, "here").await;
        streams.push(stream);
    }
    // One that the server has parked: it gave its slot to others.
    let mut parked = server.connect().await;
    stopped(&server).await;
    for stream in streams.iter_mut().chain([&mut parked]) {
        request(stream).await;
        let response = read_until(stream, "here").await;
        assert!(response.contains("connection: close"), "{response}");
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it is closed");
    }
    timeout(PATIENCE, server.served).await.unwrap().unwrap();
}

/// The system accepts a connection before the server takes it.
#[tokio::test]
async fn connections_that_came_before_the_stop_are_served() {
    let server = Server::with_slots(4);
    // Nothing runs in between: the server has taken none of them.
    let path = server.folder.path().join("socket");
    let come: Vec<_> = (0..20)
        .map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap())
        .collect();
    server.stop.cancel();
    for stream in come {
        stream.set_nonblocking(true).unwrap();
        let mut stream = UnixStream::from_std(stream).unwrap();
        request(&mut stream).await;
        read_until(&mut stream, "here").await;
    }
    timeout(PATIENCE, server.served).await.unwrap().unwrap();
}
