//! Calls to RocketMQ's proxy, and the session that a consumer has to keep open
//! with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::uri::PathAndQuery;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tokio_stream::StreamExt as _;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{ConnectError, Request, Streaming};
use tonic_prost::ProstCodec;

use super::wire::{
    Address, AddressScheme, ClientType, Endpoints, HeartbeatRequest, HeartbeatResponse, Language,
    Settings, Status, TelemetryCommand, UserAgent, code,
};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a call may take that does not wait for messages.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a heartbeat is sent to the proxy.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Nothing was sent.
    #[error("RocketMQ at {endpoint} is away: {reason}")]
    Away { endpoint: Arc<str>, reason: String },
    /// The outcome is unknown: the request may have arrived.
    #[error("RocketMQ at {endpoint} did not respond: {reason}")]
    Broken { endpoint: Arc<str>, reason: String },
    /// The proxy refused the request.
    #[error("RocketMQ at {endpoint} refused: {} (code {})", status.message, status.code)]
    Refused { endpoint: Arc<str>, status: Status },
}

/// The connection to the proxy, and the client's name. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct Proxy {
    channel: Channel,
    endpoint: Arc<str>,
    client_id: MetadataValue<Ascii>,
}

impl Proxy {
    /// A connection to `HOST:PORT`, which is made on first use and again whenever it
    /// is lost.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the address.
    pub(super) fn new(endpoint: &str) -> Result<Self, String> {
        let channel = Endpoint::from_shared(format!("http://{endpoint}"))
            .map_err(|error| error.to_string())?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(HEARTBEAT))
            .connect_lazy();
        let client_id = client_id().parse().map_err(|_| "no name".to_owned())?;
        Ok(Self {
            channel,
            endpoint: endpoint.into(),
            client_id,
        })
    }

    /// The address in the form of the gRPC contract.
    pub(super) fn address(&self) -> Endpoints {
        let (host, port) = self
            .endpoint
            .rsplit_once(':')
            .unwrap_or((&self.endpoint, ""));
        let scheme = match host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(_)) => AddressScheme::Ipv4,
            Ok(std::net::IpAddr::V6(_)) => AddressScheme::Ipv6,
            Err(_) => AddressScheme::DomainName,
        };
        Endpoints {
            scheme: scheme.into(),
            addresses: vec![Address {
                host: host.to_owned(),
                port: port.parse().unwrap_or_default(),
            }],
        }
    }

    fn request<T>(&self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        let headers = request.metadata_mut();
        headers.insert("x-mq-client-id", self.client_id.clone());
        headers.insert("x-mq-language", MetadataValue::from_static("RUST"));
        headers.insert("x-mq-protocol", MetadataValue::from_static("v2"));
        let version = MetadataValue::from_static(env!("CARGO_PKG_VERSION"));
        headers.insert("x-mq-client-version", version);
        request
    }

    async fn ready(&self) -> Result<Grpc<Channel>, CallError> {
        let mut grpc = Grpc::new(self.channel.clone());
        match grpc.ready().await {
            Ok(()) => Ok(grpc),
            Err(error) => Err(CallError::Away {
                endpoint: self.endpoint.clone(),
                reason: innermost(&error),
            }),
        }
    }

    /// Sends a request with one response.
    pub(super) async fn call<Q, A>(&self, method: &'static str, body: Q) -> Result<A, CallError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut request = self.request(body);
        request.set_timeout(CALL_TIMEOUT);
        let codec = ProstCodec::<Q, A>::default();
        let response = self
            .ready()
            .await?
            .unary(request, path(method), codec)
            .await;
        Ok(response
            .map_err(|status| self.failure(&status))?
            .into_inner())
    }

    /// Sends a request with several responses, all of which come within `wait`.
    pub(super) async fn call_streaming<Q, A>(
        &self,
        method: &'static str,
        body: Q,
        wait: Duration,
    ) -> Result<Vec<A>, CallError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut request = self.request(body);
        request.set_timeout(wait);
        let codec = ProstCodec::<Q, A>::default();
        let mut grpc = self.ready().await?;
        let all = async {
            let opened = grpc.server_streaming(request, path(method), codec).await;
            let mut responses: Streaming<A> = opened?.into_inner();
            let mut all = Vec::new();
            while let Some(response) = responses.message().await? {
                all.push(response);
            }
            Ok(all)
        };
        match timeout(wait, all).await {
            Ok(all) => all.map_err(|status: tonic::Status| self.failure(&status)),
            Err(_) => Err(self.broken(format!("no response within {wait:?}"))),
        }
    }

    /// `Ok` if the status is OK or one of `also`.
    pub(super) fn accept(&self, status: Option<Status>, also: &[i32]) -> Result<(), CallError> {
        let status = status.unwrap_or_default();
        if status.code == code::OK || also.contains(&status.code) {
            return Ok(());
        }
        Err(CallError::Refused {
            endpoint: self.endpoint.clone(),
            status,
        })
    }

    fn broken(&self, reason: String) -> CallError {
        CallError::Broken {
            endpoint: self.endpoint.clone(),
            reason,
        }
    }

    fn failure(&self, status: &tonic::Status) -> CallError {
        let mut cause = std::error::Error::source(status);
        while let Some(error) = cause {
            if error.is::<ConnectError>() {
                return CallError::Away {
                    endpoint: self.endpoint.clone(),
                    reason: innermost(error),
                };
            }
            cause = error.source();
        }
        self.broken(status.message().to_owned())
    }
}

fn path(method: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(method)
}

/// The innermost cause of an error: "Connection refused", not "transport error".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// A name that is unique among all clients: the proxy keeps a client's settings by it.
fn client_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let host = nix::unistd::gethostname().ok();
    let host = host.and_then(|host| host.into_string().ok());
    let host: String = host
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let (pid, now_ms) = (std::process::id(), crate::now_ms());
    format!("seckill-{host}@{pid}@{count}@{now_ms:x}")
}

/// A consumer's session with the proxy, which delivers messages only to a client that
/// has sent its settings and sends a heartbeat every few seconds.
pub(super) struct Session {
    settings: Settings,
    heartbeat: HeartbeatRequest,
    keeper: Mutex<Option<Keeper>>,
}

/// The task that keeps a session, ended with it.
struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    /// A session for this subscription that has not begun.
    pub(super) fn new(proxy: &Proxy, subscription: super::wire::Subscription) -> Self {
        let group = subscription.group.clone();
        let client_type = ClientType::SimpleConsumer.into();
        let settings = Settings {
            client_type: Some(client_type),
            access_point: Some(proxy.address()),
            request_timeout: prost_types::Duration::try_from(CALL_TIMEOUT).ok(),
            subscription: Some(subscription),
            user_agent: Some(UserAgent {
                language: Language::Rust.into(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
        };
        Self {
            settings,
            heartbeat: HeartbeatRequest { group, client_type },
            keeper: Mutex::default(),
        }
    }

    /// Begins the session if it has not begun or has ended.
    pub(super) async fn hold(&self, proxy: &Proxy) -> Result<(), CallError> {
        let mut keeper = self.keeper.lock().await;
        if keeper
            .as_ref()
            .is_some_and(|keeper| !keeper.0.is_finished())
        {
            return Ok(());
        }
        let telemetry = timeout(CALL_TIMEOUT, self.begin(proxy)).await;
        let commands =
            telemetry.map_err(|_| proxy.broken("no session began in time".to_owned()))??;
        let (proxy, heartbeat) = (proxy.clone(), self.heartbeat.clone());
        *keeper = Some(Keeper(tokio::spawn(keep(proxy, heartbeat, commands))));
        Ok(())
    }

    async fn begin(&self, proxy: &Proxy) -> Result<Streaming<TelemetryCommand>, CallError> {
        let command = TelemetryCommand {
            status: None,
            settings: Some(self.settings.clone()),
        };
        // The stream stays open: its end ends the session.
        let ours = tokio_stream::once(command).chain(tokio_stream::pending());
        let codec = ProstCodec::<TelemetryCommand, TelemetryCommand>::default();
        let telemetry = path("/apache.rocketmq.v2.MessagingService/Telemetry");
        let mut grpc = proxy.ready().await?;
        let opened = grpc.streaming(proxy.request(ours), telemetry, codec).await;
        let mut commands = opened
            .map_err(|status| proxy.failure(&status))?
            .into_inner();
        match commands.message().await {
            Ok(Some(TelemetryCommand {
                settings: Some(_), ..
            })) => Ok(commands),
            Ok(command) => {
                proxy.accept(command.and_then(|command| command.status), &[])?;
                Ok(commands)
            }
            Err(status) if status.message().contains("group not found") => {
                let group = self.heartbeat.group.as_ref().map_or("", |it| &it.name);
                Err(proxy.broken(format!(
                    "there is no group \"{group}\"; create it with: mqadmin updateSubGroup -g {group} \
                     -c CLUSTER"
                )))
            }
            Err(status) => Err(proxy.failure(&status)),
        }
    }
}

/// Keeps a session until the proxy ends it or is away.
async fn keep(
    proxy: Proxy,
    heartbeat: HeartbeatRequest,
    mut commands: Streaming<TelemetryCommand>,
) {
    let mut beat = interval(HEARTBEAT);
    loop {
        tokio::select! {
            // Commands concern other kinds of clients; only the end of the stream matters.
            command = commands.message() => match command {
                Ok(Some(_)) => {}
                _ => return,
            },
            _ = beat.tick() => {
                let path = "/apache.rocketmq.v2.MessagingService/Heartbeat";
                let sent: Result<HeartbeatResponse, _> = proxy.call(path, heartbeat.clone()).await;
                if sent.and_then(|response| proxy.accept(response.status, &[])).is_err() {
                    return;
                }
            }
        }
    }
}
