//! Finds the server that takes writes, and connects to it.
//!
//! All addresses are tried at the same time: those that the directive names, or the
//! one that the Sentinels name, each with all that its name resolves to. Only a
//! server that calls itself master is taken. Where none is, but one is a replica, its
//! master is tried too.

use std::rc::Rc;
use std::time::Duration;

use async_task::Task;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, RedisResult, Value};
use seckill_core::gate::directive::Address;
use seckill_core::redis::role::{Report, Role, majority};

use super::{Link, STALLED, Scripts, text_of, unless_stalled};
use crate::conf::{Login, Target};
use crate::net::address::SocketAddress;
use crate::net::stream::{Meter, PeerStream};
use crate::rt;

/// When one server was found, how long others that stand before it in the list may
/// still take.
const GRACE: Duration = Duration::from_millis(100);
/// How often a replica's word on its master is followed.
const MOST_HOPS: usize = 3;

/// A connection before its scripts are loaded. Dropping the driver closes the socket.
struct Dialed {
    connection: MultiplexedConnection,
    driver: Task<()>,
    meter: Meter,
}

/// A server of no use.
struct Failure {
    /// Which, and why.
    text: String,
    /// The master that it copies.
    master: Option<Address>,
}

impl Failure {
    fn new(address: &str, why: &str) -> Self {
        Self {
            text: format!("{address}: {why}"),
            master: None,
        }
    }

    fn joined(failures: Vec<Self>) -> Self {
        let texts: Vec<&str> = failures.iter().map(|one| &*one.text).collect();
        Self {
            text: texts.join("; "),
            master: failures.iter().find_map(|one| one.master.clone()),
        }
    }
}

/// Connects, logs in and loads the scripts. The task drives the
/// connection's input and output; dropping it closes the socket.
///
/// # Errors
/// What became of each address.
pub(super) async fn open(target: &Target) -> Result<(Link, Task<()>), String> {
    let mut candidates = match &target.spec.sentinel {
        Some(name) => vec![named_by_sentinels(target, name).await?],
        None => target.spec.addresses.clone(),
    };
    let mut asked: Vec<Address> = Vec::new();
    let mut failures = Vec::new();
    for _ in 0..=MOST_HOPS {
        let tries = candidates.iter().map(|address| open_one(target, address));
        let mut masters = Vec::new();
        for outcome in rt::gather(tries, 1, Result::is_ok, GRACE).await {
            match outcome {
                Some(Ok(found)) => return Ok(found),
                Some(Err(failure)) => {
                    masters.extend(failure.master);
                    failures.push(failure.text);
                }
                None => {}
            }
        }
        asked.append(&mut candidates);
        // Sentinels know better than a replica whose master it is to be.
        if target.spec.sentinel.is_none() {
            candidates = masters;
            candidates.retain(|master| !asked.contains(master));
        }
        if candidates.is_empty() {
            break;
        }
    }
    Err(failures.join("; "))
}

/// One address: all that it resolves to, at the same time.
async fn open_one(target: &Target, address: &Address) -> Result<(Link, Task<()>), Failure> {
    let sockets = sockets(target, address).await?;
    let tries = sockets
        .iter()
        .map(|socket| open_socket(target, address, socket));
    let mut failures = Vec::new();
    for outcome in rt::gather(tries, 1, Result::is_ok, GRACE).await {
        match outcome {
            Some(Ok(found)) => return Ok(found),
            Some(Err(failure)) => failures.push(failure),
            None => {}
        }
    }
    Err(Failure::joined(failures))
}

async fn open_socket(
    target: &Target,
    address: &Address,
    socket: &SocketAddress,
) -> Result<(Link, Task<()>), Failure> {
    let shown = shown(address, socket);
    let meter = Meter::default();
    let opening = async {
        let mut dialed = dial(target, (address, socket), &target.login, meter.clone()).await?;
        let role = role(&mut dialed.connection).await?;
        if role == Role::Master || role == Role::Unknown {
            let scripts = Scripts::load(&mut dialed.connection).await?;
            return Ok((Some((dialed, scripts)), role));
        }
        Ok::<_, RedisError>((None, role))
    };
    let patience = target.spec.timeout.max(STALLED);
    match unless_stalled(&meter, patience, opening).await {
        Some(Ok((Some((dialed, scripts)), _))) => {
            let link = Link {
                connection: dialed.connection,
                scripts: Rc::new(scripts),
                meter: dialed.meter,
                patience,
                server: address.to_string().into(),
            };
            Ok((link, dialed.driver))
        }
        Some(Ok((None, Role::Replica { of }))) => Err(Failure {
            text: format!("{shown}: it is a replica of {of}"),
            master: Address::parse(&of).ok(),
        }),
        Some(Ok((None, _))) => Err(Failure::new(
            &shown,
            "it is a Sentinel; give the master's name, as in sentinel=mymaster",
        )),
        Some(Err(error)) => Err(Failure::new(&shown, &text_of(&error))),
        None => Err(Failure::new(&shown, "no reply")),
    }
}

/// The address, with what it was resolved to.
fn shown(address: &Address, socket: &SocketAddress) -> String {
    let (name, resolved) = (address.to_string(), socket.name());
    if name == resolved {
        name
    } else {
        format!("{name} ({resolved})")
    }
}

/// The sockets of an address.
async fn sockets(target: &Target, address: &Address) -> Result<Vec<SocketAddress>, Failure> {
    let shown = address.to_string();
    let sockets: Vec<SocketAddress> = match address {
        Address::Unix(path) => SocketAddress::unix(path).into_iter().collect(),
        Address::Tcp { host, port } => match &target.names {
            Some(names) => {
                let found = names.find(host, *port).await;
                found.into_iter().map(SocketAddress::tcp).collect()
            }
            None => Vec::new(),
        },
    };
    if sockets.is_empty() {
        return Err(Failure::new(&shown, "its host cannot be resolved"));
    }
    Ok(sockets)
}

/// Connects and logs in.
async fn dial(
    target: &Target,
    (address, socket): (&Address, &SocketAddress),
    login: &Login,
    meter: Meter,
) -> RedisResult<Dialed> {
    let stream = PeerStream::connect(socket, meter.clone()).await?;
    let is_server = std::ptr::eq(login, &raw const target.login);
    let db = if is_server { target.spec.db } else { 0 };
    let mut info = RedisConnectionInfo::default().set_db(db);
    if let Some(user) = &login.user {
        info = info.set_username(user);
    }
    if let Some(password) = &login.password {
        info = info.set_password(password);
    }
    // The crate's own timeouts need tokio's timer, which does not run here.
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None);
    let (connection, driver) = match (&target.tls, address) {
        (Some(tls), Address::Tcp { host, .. }) => {
            let stream = tls.connect(stream, host).await?;
            let (connection, driver) =
                MultiplexedConnection::new_with_config(&info, stream, config).await?;
            (connection, rt::spawn(driver))
        }
        _ => {
            let (connection, driver) =
                MultiplexedConnection::new_with_config(&info, stream, config).await?;
            (connection, rt::spawn(driver))
        }
    };
    Ok(Dialed {
        connection,
        driver,
        meter,
    })
}

/// What a server is. A user who may not ask, or a proxy that does not know the
/// command, is no obstacle.
///
/// # Errors
/// The connection is lost.
pub(super) async fn role(connection: &mut MultiplexedConnection) -> RedisResult<Role> {
    let reply: RedisResult<Vec<Value>> = redis::cmd("ROLE").query_async(connection).await;
    match reply {
        Ok(words) => {
            let text = |value| redis::from_redis_value::<String>(value).unwrap_or_default();
            let words: Vec<String> = words.into_iter().map(text).collect();
            Ok(Role::parse(&words))
        }
        Err(error) if error.code().is_some() => Ok(Role::Unknown),
        Err(error) => Err(error),
    }
}

/// The master's address by the newest report of a majority of the Sentinels.
///
/// # Errors
/// Too few name it, and what became of the others.
pub(super) async fn named_by_sentinels(target: &Target, name: &str) -> Result<Address, String> {
    let addresses = &target.spec.addresses;
    let tries = addresses
        .iter()
        .map(|address| ask_one(target, address, name));
    let enough = majority(addresses.len());
    let mut reports = Vec::new();
    let mut failures = Vec::new();
    for outcome in rt::gather(tries, enough, Result::is_ok, GRACE).await {
        match outcome {
            Some(Ok(report)) => reports.push(report),
            Some(Err(failure)) => failures.push(failure.text),
            None => {}
        }
    }
    match Report::by_majority(reports, addresses.len()) {
        Ok(report) => Address::parse(&report.address),
        Err(minority) => Err(format!("{minority} \"{name}\": {}", failures.join("; "))),
    }
}

async fn ask_one(target: &Target, address: &Address, name: &str) -> Result<Report, Failure> {
    let mut last = Failure::new(&address.to_string(), "its host cannot be resolved");
    for socket in sockets(target, address).await? {
        let shown = shown(address, &socket);
        let meter = Meter::default();
        let asking = async {
            let login = &target.sentinel_login;
            let mut dialed = dial(target, (address, &socket), login, meter.clone()).await?;
            let fields: Vec<String> = redis::cmd("SENTINEL")
                .arg("MASTER")
                .arg(name)
                .query_async(&mut dialed.connection)
                .await?;
            Ok::<_, RedisError>(fields)
        };
        last = match unless_stalled(&meter, STALLED, asking).await {
            Some(Ok(fields)) => match Report::parse(&fields) {
                Some(report) => return Ok(report),
                None => Failure::new(&shown, "it names no address"),
            },
            Some(Err(error)) => Failure::new(&shown, &text_of(&error)),
            None => Failure::new(&shown, "no reply"),
        };
    }
    Err(last)
}
