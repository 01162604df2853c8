//! Redis by TLS: servers, Sentinels and a Cluster; who is trusted, and who is not.

use seckill::redis::RedisLink;
use seckill::redis::segments::Segments;

use crate::common::authority::Authority;
use crate::common::scripts::preload;
use crate::common::{connect, eventually, item, ports};
use crate::replication::Server;

/// A user whose password is not to be mistaken for something else, as in the address.
const LOGIN: &str = "app:s3c%3Fr%22et";
const USER: &str = "user app on \">s3c?r\\\"et\" ~* &* +@all\n";

/// The settings of a server that speaks TLS only, on this port.
fn settings(authority: &Authority, port: u16, clients: &str) -> String {
    let file = |name: &str| authority.file(name).display().to_string();
    format!(
        "port 0\ntls-port {port}\ntls-auth-clients {clients}\ntls-replication yes\n\
         tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n",
        file("cert.pem"),
        file("key.pem"),
        file("ca.pem"),
    )
}

/// Starts one with these further settings.
fn start(authority: &Authority, port: u16, clients: &str, more: &str) -> Server {
    let settings = settings(authority, port, clients) + more;
    // What is on the command line comes last.
    Server::start(0, &settings, &[])
}

async fn refused(url: &str) -> String {
    let error = RedisLink::connect(url).await.map(|_| ()).unwrap_err();
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_used_by_tls_if_it_is_whom_the_address_names() {
    let (authority, other) = (Authority::new(), Authority::new());
    let port = ports::free_row(1);
    let _server = start(&authority, port, "no", USER);
    let ca = authority.file("ca.pem").display().to_string();
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("rediss://{LOGIN}@{host}:{port}/1?ca={ca}");
        let link = eventually("it replies", || async { connect(&url).await }).await;
        assert_eq!(link.address(), format!("{host}:{port}"));
        let mut conn = link.conn().await.unwrap();
        let is_first = host == "localhost";
        assert_eq!(preload(&mut conn, &item(), 1, 10).await, Ok(is_first));
        let mut own = link.dedicated().await.unwrap();
        let keys: u64 = redis::cmd("DBSIZE").query_async(&mut own).await.unwrap();
        assert!(keys > 0);
    }
    let unknown = other.file("ca.pem").display().to_string();
    for (url, named) in [
        (
            format!("rediss://{LOGIN}@localhost:{port}"),
            "UnknownIssuer",
        ),
        (
            format!("rediss://{LOGIN}@localhost:{port}?ca={unknown}"),
            "invalid peer certificate",
        ),
        (
            format!("rediss://{LOGIN}@localhost:{port}?ca={ca}&tls_name=redis.example.com"),
            "redis.example.com",
        ),
        (
            format!("rediss://app:wrong@localhost:{port}?ca={ca}"),
            "Password authentication failed",
        ),
        (
            format!("redis://{LOGIN}@localhost:{port}"),
            "cannot be reached",
        ),
    ] {
        let error = refused(&url).await;
        assert!(error.contains(named) && !error.contains("s3c"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_a_certificate_is_shown_one() {
    let authority = Authority::new();
    let port = ports::free_row(1);
    let _server = start(&authority, port, "yes", "");
    let file = |name: &str| authority.file(name).display().to_string();
    let url = format!("rediss://localhost:{port}?ca={}", file("ca.pem"));
    let with = format!("{url}&cert={}&key={}", file("cert.pem"), file("key.pem"));
    eventually("it replies", || async { connect(&with).await }).await;
    refused(&url).await;
    let odd = format!("{url}&cert={}&key={}", file("cert.pem"), file("ca.pem"));
    let error = refused(&odd).await;
    assert!(error.contains("key="), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_the_master_that_they_name_are_both_reached_by_tls() {
    let authority = Authority::new();
    let port = ports::free_row(2);
    let _master = start(&authority, port, "no", USER);
    let watch = format!(
        "sentinel monitor shop 127.0.0.1 {port} 1\nsentinel auth-user shop app\n\
         sentinel auth-pass shop \"s3c?r\\\"et\"\n"
    );
    let sentinel = settings(&authority, port + 1, "no") + &watch;
    let _sentinel = Server::start(0, &sentinel, &["--sentinel"]);
    let ca = authority.file("ca.pem").display().to_string();
    let places = format!("{LOGIN}@127.0.0.1:{}/shop", port + 1);
    let url = format!("rediss+sentinel://{places}?ca={ca}");
    let link = eventually("the master is found", || async { connect(&url).await }).await;
    let mut conn = link.conn().await.unwrap();
    let role: redis::Value = redis::cmd("ROLE").query_async(&mut conn).await.unwrap();
    assert!(format!("{role:?}").contains("master"), "{role:?}");
    let error = refused(&format!("redis+sentinel://{places}")).await;
    assert!(error.contains("Sentinels name a master"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_of_a_cluster_are_reached_by_tls_as_the_first_one_is() {
    let authority = Authority::new();
    let port = ports::free_row(2);
    let bus = port + 1;
    let cluster = format!("cluster-enabled yes\ntls-cluster yes\ncluster-port {bus}\n");
    let _node = start(&authority, port, "no", &cluster);
    let rest = format!("127.0.0.1:{port}?ca={}", authority.file("ca.pem").display());
    let node = eventually("it replies", || async {
        connect(&format!("rediss://{rest}")).await
    })
    .await;
    let mut conn = node.conn().await.unwrap();
    let mut slots = redis::cmd("CLUSTER");
    let slots = slots.arg("ADDSLOTSRANGE").arg(0).arg(16383);
    slots.exec_async(&mut conn).await.unwrap();
    let segments = Segments::open(&node, &[format!("rediss+cluster://{rest}")]).unwrap();
    let made = eventually("the cluster takes commands", || async {
        let link = segments.link(&item(), 1).await.ok()?;
        let mut conn = link.conn().await.ok()?;
        preload(&mut conn, &item(), 1, 10).await.ok()
    });
    assert!(made.await);
}
