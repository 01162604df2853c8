//! What is in force: defaults, then a TOML file, then the settings of the system
//! that runs in the data folder, then `SECKILL_…` variables, then flags, each
//! overriding the one before.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use jiff::tz::TimeZone;
use seckill_core::gate::directive::jwt::Jwt;
use seckill_core::orders::money::Currency;
use seckill_core::signing::keyring::Digest;

use crate::config::analysis::Rules;
use crate::config::running::{InForce, RunningSystem};
use crate::config::targets::Targets;

/// The default of the data folder, below the current folder.
const DEFAULT_DATA: &str = "data";

/// How the address of a Redis begins.
mod addresses;
/// The settings of the log analysis.
pub mod analysis;
/// How buyers show that they are people.
pub mod captcha;
/// The variables of the process.
mod environment;
/// Why the configuration is refused.
mod error;
/// The settings of the order feed.
mod feed;
/// How long what is in the database is kept.
mod keep;
/// Every key there is, with its variable and its meaning.
pub mod keys;
/// Variables that Kubernetes sets.
mod kubernetes;
/// Gathers the raw values and where each came from.
mod layers;
/// Where a role listens, and how that is written.
pub mod listen;
/// Which log lines are written.
mod log_filter;
/// The names under which the shop's pages are served.
pub mod names;
/// Suggests the known name behind a misspelt one.
pub mod nearest;
/// The settings that begin with `notify`.
mod notify;
/// The settings of single sign-on at the console.
pub mod oidc;
/// Where this program's files are.
mod places;
/// What "seckill up" sets unless it is set.
mod presets;
/// Reads one raw value as what it must be.
mod read;
/// The file by which commands find a running system.
pub mod running;
/// Prints what is in force, secrets masked.
mod shown;
/// The settings of a site among others.
pub mod site;
/// The caches in front of the CDN origin.
pub mod targets;
/// Where traces are sent.
mod traces;

pub use addresses::{SENTINEL_SCHEME, cluster_node};
pub use captcha::CaptchaSettings;
pub use error::ConfigError;
pub use feed::FeedSettings;
pub use keep::Keep;
pub use layers::{Given, Source, gather, gather_beside};
pub use listen::Listen;
pub use names::Names;
pub use notify::Notify;
pub use oidc::Oidc;
pub use shown::{Setting, masked_url};
pub use site::{SitePeer, SiteSettings};
pub use traces::Traces;

/// The value of `simulation_rounds` that means every round.
pub const ALL_ROUNDS: &str = "*";

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people to read.
    Human,
    /// One JSON object a line.
    Json,
}

/// What becomes of the stock of an order whose money was returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStock {
    /// Its items stay sold.
    Keep,
    /// Its items are for sale again, and its buyer may buy again.
    Release,
}

/// Which queue carries purchases to the orders role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// Streams in the main Redis.
    Streams,
    /// RocketMQ 5.
    RocketMq,
}

/// The configuration in force.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything that is written lives.
    pub data: PathBuf,
    /// Port of the edge.
    pub port: u16,
    /// Port of the console.
    pub console_port: u16,
    /// Where the console listens; `None` for addresses of this machine only.
    pub console_address: Option<IpAddr>,
    /// Whether everybody at the console has to have a second factor.
    pub console_second_factor: bool,
    /// The console's address as browsers know it: an origin.
    pub console_url: String,
    /// Single sign-on at the console; `None` if there is none.
    pub console_oidc: Option<Oidc>,
    /// Redis: `redis://…`, `unix:///path`, or by Sentinels `redis+sentinel://…`; by TLS with
    /// `rediss` in place of `redis`.
    pub redis_url: String,
    /// Replicas that must have a purchase before it counts; 0 for none.
    pub redis_wait_replicas: u8,
    /// Longest wait for them, in ms.
    pub redis_wait_ms: u64,
    /// Whether Redis runs elsewhere, so that `up` starts none.
    pub redis_is_external: bool,
    /// Redis masters that hold the stock segments: `redis://…` each, or nodes of
    /// one Redis Cluster, `redis+cluster://…`; empty for the main Redis.
    pub redis_segments: Vec<String>,
    /// TCP port on which the Redis that `up` starts listens too; 0 for none.
    pub redis_port: u16,
    /// Database: `sqlite:…`, `mysql://…` or `postgres://…`.
    pub database_url: String,
    /// Databases that orders are spread over by buyer; none: they are in `database_url`.
    pub order_databases: Vec<String>,
    /// Key ring file.
    pub keys: PathBuf,
    /// Key ring file shared with the payment provider.
    pub payment_keys: PathBuf,
    /// File with the payment providers' settings.
    pub payments: PathBuf,
    /// File with the order form.
    pub order_form: PathBuf,
    /// The currency of all prices.
    pub currency: Currency,
    /// How long after its deadline an order still waits for money, in seconds.
    pub pay_grace: u64,
    /// What becomes of the stock of an order whose money was returned.
    pub refund_stock: RefundStock,
    /// The zone whose midnight separates one day's rounds from the next.
    pub time_zone: TimeZone,
    /// Whether anybody may log in under any name.
    pub demo_login: bool,
    /// The tokens of the shop's own login; `None` if it has none.
    pub jwt: Option<Jwt>,
    /// The names under which the shop's pages are served.
    pub names: Names,
    /// Key ring file shared with the shop's servers that begin sessions.
    pub login_keys: PathBuf,
    /// How purchase URLs are digested.
    pub digest: Digest,
    /// Which captcha a purchase needs.
    pub captcha: CaptchaSettings,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// What is logged: a level, or directives such as `seckill=debug`.
    pub log: String,
    /// Megabytes that a log of `up` grows to before it is renamed; 0: it is never renamed.
    pub log_mb: u64,
    /// How buyers are notified of their orders.
    pub notify: Notify,
    /// The shop's own inventory; `None` if there is none.
    pub inventory_url: Option<Uri>,
    /// Key ring file shared with the inventory.
    pub inventory_keys: PathBuf,
    /// Which of the shop's own systems follow the orders.
    pub feed: FeedSettings,
    /// Which queue carries purchases to the orders role.
    pub queue: QueueKind,
    /// `HOST:PORT` where RocketMQ's proxy listens for gRPC; empty unless it is used.
    pub rocketmq_endpoint: String,
    /// Topic of purchases; its readers' group is called the same with `-workers`.
    pub rocketmq_orders_topic: String,
    /// Topic of delayed cancels.
    pub rocketmq_cancels_topic: String,
    /// How often a message is tried before it is a dead letter.
    pub order_attempts: u32,
    /// Minutes between redrives of the dead letters; 0: none.
    pub redrive_minutes: u64,
    /// How long an order message may wait before the oldest are failed, in seconds.
    pub backlog_after: u64,
    /// Orders placed per second, at most.
    pub orders_per_second: u32,
    /// How long a buyer has to pay, in seconds.
    pub pay_within: u64,
    /// Megabytes that a purchase journal may grow to; 0: none is kept.
    pub journal_max_mb: u64,
    /// How long a request may take between edge and back end, in ms.
    pub in_flight_ms: u64,
    /// Requests per second that the site admits.
    pub site_rate: u32,
    /// Requests admitted at once above that rate.
    pub site_burst: u32,
    /// Which caches are purged when a page changes.
    pub targets: Targets,
    /// Hours after its end when a settled round leaves Redis; 0 for never.
    pub retire_hours: u64,
    /// How long pages stay after their round's end, in hours.
    pub page_keep_hours: u64,
    /// How long assets stay that no page needs any more, in hours.
    pub asset_keep_hours: u64,
    /// How long pictures stay that no page shows and no round names, in hours.
    pub picture_keep_hours: u64,
    /// How long the board's numbers are kept, in days.
    pub board_history_days: u64,
    /// How long what is in the database is kept.
    pub keep: Keep,
    /// Where the board's alerts are posted; `None` for nowhere.
    pub alerts_webhook: Option<Uri>,
    /// Where traces are sent, and how many.
    pub traces: Traces,
    /// The metrics of every edge, for the board.
    pub edges: Vec<Uri>,
    /// nginx workers; `None` for one a core.
    pub edge_workers: Option<u16>,
    /// Where the purchase role listens.
    pub purchase_listen: Listen,
    /// Where the ops role listens.
    pub ops_listen: Listen,
    /// Where the metrics of a process are served, for one whose roles serve nothing
    /// else; `None` for nowhere.
    pub status_listen: Option<Listen>,
    /// This site among others; `None` if it sells alone.
    pub site: Option<SiteSettings>,
    /// Access logs of all edges.
    pub access_logs: Vec<PathBuf>,
    /// What the analysis does with likely programs.
    pub analysis: Rules,
    /// Rounds in which the console may let simulated shoppers buy.
    pub simulation_rounds: Vec<String>,
    /// The nginx executable.
    pub nginx: PathBuf,
    /// The redis-server executable.
    pub redis_server: PathBuf,
    /// The nginx module; `None` if it was found nowhere.
    pub module: Option<PathBuf>,
    /// The folder with `html/`, `conf/` and `examples/`; `None` if it was found nowhere.
    pub home: Option<PathBuf>,
    settings: Vec<Setting>,
    in_force: InForce,
    warning: Option<String>,
}

/// Whether the settings of the system that runs in the data folder are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// They are: this is a command beside that system.
    RunningSystem,
    /// They are not: this is that system.
    Nothing,
}

impl Config {
    /// Reads `seckill.toml` (or the file that a flag or `SECKILL_CONFIG` names), the
    /// file of the running system if `beside` says so, the process's environment, and
    /// `flags`, pairs of key and value with the flag's name.
    ///
    /// # Errors
    /// [`ConfigError`], which names key, value, origin and cure.
    pub fn load(
        file: Option<&Path>,
        flags: Vec<(String, Given)>,
        beside: Beside,
    ) -> Result<Self, ConfigError> {
        let environment = environment::read(std::env::vars_os())?;
        let find = |data: &Path| match beside {
            Beside::RunningSystem => RunningSystem::find(data),
            Beside::Nothing => None,
        };
        let config = Self::from_layers(gather_beside(file, &environment, flags, find)?)?;
        Ok(Self {
            warning: kubernetes::warning(&layers::ignored(&environment)),
            ..config
        })
    }

    /// Types the gathered values, and fills in the defaults.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] for the first value that its key cannot take.
    pub fn from_layers(given: Vec<(&'static str, Given)>) -> Result<Self, ConfigError> {
        let mut values = read::Values::new(given);
        let data = values.folder("data", Path::new(DEFAULT_DATA))?;
        let run = data.join("run");
        let site_rate = values.number("site_rate", 50_000, 1..=100_000_000)?;
        let redis_default = format!("unix://{}", run.join("redis.sock").display());
        let redis_is_external =
            values.is_given("redis_url") && !values.is_running("redis_url", &redis_default);
        let home = values.found_folder("home", places::home)?;
        let port = values.number("port", 8080, 1..=65_535)?;
        let console_port = values.number("console_port", 8081, 1..=65_535)?;
        let pay_within = values.number("pay_within", 600, 1..=31_536_000)?;
        let pay_grace = values.number("pay_grace", 10, 0..=86_400)?;
        let retire_hours = values.number("retire_hours", 24, 0..=87_600)?;
        let config = Self {
            port,
            console_port,
            console_address: values.console_address()?,
            console_second_factor: values.second_factor()?,
            console_url: values.console_url(console_port)?,
            console_oidc: values.oidc()?,
            redis_url: values.redis_url(&redis_default)?,
            redis_wait_replicas: values.number("redis_wait_replicas", 0, 0..=16)?,
            redis_wait_ms: values.number("redis_wait_ms", 100, 1..=400)?,
            redis_is_external,
            redis_segments: values.redis_segments()?,
            redis_port: values.number("redis_port", 0, 0..=65_535)?,
            database_url: values
                .database_url(&format!("sqlite:{}", data.join("seckill.db").display()))?,
            order_databases: values.database_urls("order_databases")?,
            keys: values.path("keys", &data.join("keys"))?,
            payment_keys: values.path("payment_keys", &data.join("payment-keys"))?,
            payments: values.path("payments", &data.join("payments.toml"))?,
            order_form: values.path("order_form", &data.join("order-form.toml"))?,
            currency: values.currency()?,
            pay_grace,
            refund_stock: values.refund_stock()?,
            time_zone: values.time_zone("Asia/Shanghai")?,
            demo_login: values.switch("demo_login", false)?,
            jwt: values.jwt()?,
            names: values.names()?,
            login_keys: values.path("login_keys", &data.join("login-keys"))?,
            digest: values.digest()?,
            captcha: values.captcha(&data)?,
            log_format: values.log_format()?,
            log: values.log_level("info")?,
            log_mb: values.number("log_mb", 512, 0..=1_048_576)?,
            notify: values.notify(&data.join("notify-keys"))?,
            inventory_url: values.inventory_url()?,
            inventory_keys: values.path("inventory_keys", &data.join("inventory-keys"))?,
            feed: values.feed()?,
            queue: values.queue()?,
            rocketmq_endpoint: values.rocketmq_endpoint()?,
            rocketmq_orders_topic: values.topic("rocketmq_orders_topic", "seckill-orders")?,
            rocketmq_cancels_topic: values.topic("rocketmq_cancels_topic", "seckill-cancels")?,
            order_attempts: values.number("order_attempts", 5, 1..=16)?,
            redrive_minutes: values.number("redrive_minutes", 60, 0..=525_600)?,
            backlog_after: values.number("backlog_after", 120, 1..=31_536_000)?,
            orders_per_second: values.number("orders_per_second", 500, 1..=1_000_000)?,
            pay_within,
            journal_max_mb: values.number("journal_max_mb", 64, 0..=1_048_576)?,
            in_flight_ms: values.number("in_flight_ms", 5_000, 100..=600_000)?,
            site_rate,
            site_burst: values.number("site_burst", site_rate, 1..=100_000_000)?,
            targets: values.targets()?,
            retire_hours,
            page_keep_hours: values.number("page_keep_hours", 24, 0..=876_000)?,
            asset_keep_hours: values.number("asset_keep_hours", 24, 0..=876_000)?,
            picture_keep_hours: values.number("picture_keep_hours", 168, 0..=876_000)?,
            board_history_days: values.number("board_history_days", 7, 1..=3_660)?,
            keep: values.keep(&data, (pay_within, pay_grace), retire_hours > 0)?,
            alerts_webhook: values.web_hook("alerts_webhook")?,
            traces: values.traces()?,
            edges: values.edges()?,
            edge_workers: values.optional_number("edge_workers", "auto", 1..=512)?,
            purchase_listen: values.listen("purchase_listen", &run.join("purchase.sock"))?,
            ops_listen: values.listen("ops_listen", &run.join("ops.sock"))?,
            status_listen: values.optional_listen("status_listen")?,
            site: values.site(&data)?,
            access_logs: values.paths("access_logs", &data.join("logs/access.log"))?,
            analysis: values.analysis()?,
            simulation_rounds: values.round_ids("simulation_rounds")?,
            nginx: values.program("nginx", "nginx"),
            redis_server: values.program("redis_server", "redis-server"),
            module: values.found_file("module", || places::module(home.as_deref()))?,
            home,
            data,
            settings: Vec::new(),
            in_force: InForce(values.in_force()),
            warning: None,
        };
        Ok(Self {
            settings: values.into_settings(),
            ..config
        })
    }

    /// Every setting with its value, masked if secret, and where it came from.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The settings that a command beside this system takes over from it, by their keys.
    /// Not masked.
    #[must_use]
    pub fn in_force(&self) -> &BTreeMap<String, String> {
        &self.in_force.0
    }

    /// What an operator should know of how the settings came about.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// The settings as a table for people.
    #[must_use]
    pub fn table(&self) -> String {
        shown::table(&self.settings)
    }

    /// Whether simulated shoppers may buy in this round.
    #[must_use]
    pub fn may_simulate(&self, round: &str) -> bool {
        let allows = |allowed: &String| allowed == round || allowed == ALL_ROUNDS;
        self.simulation_rounds.iter().any(allows)
    }

    /// The database's file, if it is one on this machine.
    #[must_use]
    pub fn database_file(&self) -> Option<PathBuf> {
        let path = self.database_url.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        path.split('?')
            .next()
            .filter(|path| path.starts_with('/'))
            .map(PathBuf::from)
    }

    /// Whether the database is the one in the data folder.
    #[must_use]
    pub fn has_own_database(&self) -> bool {
        let own = self.data.join("seckill.db");
        self.database_file().is_some_and(|path| path == own)
    }

    /// The first SQLite file that is configured and not there.
    #[must_use]
    pub fn missing_database(&self) -> Option<PathBuf> {
        let urls = std::iter::once(&self.database_url).chain(&self.order_databases);
        let files = urls.filter_map(|url| {
            let path = url.strip_prefix("sqlite:")?;
            let path = path.strip_prefix("//").unwrap_or(path);
            let (path, parameters) = path.split_once('?').unwrap_or((path, ""));
            let is_file = !path.is_empty()
                && !path.contains(['%', ':'])
                && !parameters.contains("mode=memory");
            is_file.then(|| PathBuf::from(path))
        });
        files.into_iter().find(|path| !path.exists())
    }
}
