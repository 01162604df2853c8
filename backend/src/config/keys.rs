//! Every key there is, with its variable and its meaning.

/// A setting that can be given.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// In the file, and for `--set`.
    pub name: &'static str,
    /// What it means, for people.
    pub meaning: &'static str,
}

impl Key {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase())
    }
}

/// What every variable begins with.
pub const PREFIX: &str = "SECKILL_";
/// The key that names the configuration file itself: a variable and a flag, but
/// not something that can stand in the file.
pub const FILE_KEY: &str = "config";

/// All of them, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    Key {
        name: "data",
        meaning: "folder of everything that is written",
    },
    Key {
        name: "port",
        meaning: "port of the edge, where shoppers come in",
    },
    Key {
        name: "console_port",
        meaning: "port of the console",
    },
    Key {
        name: "console_address",
        meaning: "local: the console only for this machine; or an address",
    },
    Key {
        name: "demo_login",
        meaning: "on: anybody may log in under any name",
    },
    Key {
        name: "captcha",
        meaning: "off, slider, turnstile or hcaptcha: what a buyer does for his pass",
    },
    Key {
        name: "captcha_work_bits",
        meaning: "slider: zero bits of the work instead of a drag; one more doubles it",
    },
    Key {
        name: "captcha_redis_url",
        meaning: "slider: Redis of the puzzles; unset: the one below",
    },
    Key {
        name: "captcha_site_key",
        meaning: "turnstile, hcaptcha: the public key",
    },
    Key {
        name: "captcha_secret",
        meaning: "turnstile, hcaptcha: file with the secret",
    },
    Key {
        name: "captcha_verify_url",
        meaning: "turnstile, hcaptcha: where responses are verified",
    },
    Key {
        name: "captcha_when_away",
        meaning: "turnstile, hcaptcha: refuse or pass buyers while the service is away",
    },
    Key {
        name: "time_zone",
        meaning: "whose midnight separates the days",
    },
    Key {
        name: "site_rate",
        meaning: "requests a second that the site lets through",
    },
    Key {
        name: "site_burst",
        meaning: "requests that may come at once above the rate",
    },
    Key {
        name: "orders_per_second",
        meaning: "orders written a second",
    },
    Key {
        name: "pay_within",
        meaning: "how long a buyer has to pay, in seconds",
    },
    Key {
        name: "order_attempts",
        meaning: "how often an order is tried before its message is a dead letter",
    },
    Key {
        name: "redrive_minutes",
        meaning: "how often dead letters are tried again; 0: only by command",
    },
    Key {
        name: "backlog_after",
        meaning: "seconds that orders may wait before part of them is let go",
    },
    Key {
        name: "notify_webhook",
        meaning: "where changes of orders are posted, signed; none: nowhere",
    },
    Key {
        name: "notify_keys",
        meaning: "key ring file shared with the webhook's receiver",
    },
    Key {
        name: "notify_smtp",
        meaning: "mail server that writes to buyers; none: nobody is written to",
    },
    Key {
        name: "notify_from",
        meaning: "who e-mails are from",
    },
    Key {
        name: "notify_email",
        meaning: "whom they go to; {user} stands for the buyer's name",
    },
    Key {
        name: "notify_language",
        meaning: "language of e-mails to buyers of whom none is known",
    },
    Key {
        name: "queue",
        meaning: "streams (in Redis) or rocketmq",
    },
    Key {
        name: "rocketmq_endpoint",
        meaning: "HOST:PORT of RocketMQ's proxy (gRPC)",
    },
    Key {
        name: "rocketmq_orders_topic",
        meaning: "topic of purchases, message.type=NORMAL",
    },
    Key {
        name: "rocketmq_cancels_topic",
        meaning: "topic of delayed cancels, message.type=DELAY",
    },
    Key {
        name: "in_flight_ms",
        meaning: "how long a request may be under way, in ms",
    },
    Key {
        name: "redis_url",
        meaning: "Redis; unset: the one that \"seckill up\" starts",
    },
    Key {
        name: "redis_segments",
        meaning: "Redis masters that hold the stock; none: the one above",
    },
    Key {
        name: "redis_port",
        meaning: "TCP port of that Redis besides its socket; 0: none",
    },
    Key {
        name: "database_url",
        meaning: "database of orders and sales",
    },
    Key {
        name: "order_databases",
        meaning: "databases that orders are spread over by buyer",
    },
    Key {
        name: "keys",
        meaning: "key ring file",
    },
    Key {
        name: "payment_keys",
        meaning: "key ring file shared with the payment provider",
    },
    Key {
        name: "purchase_listen",
        meaning: "where the purchase role listens",
    },
    Key {
        name: "ops_listen",
        meaning: "where the ops role listens",
    },
    Key {
        name: "site_url",
        meaning: "the shop's address as shoppers know it",
    },
    Key {
        name: "purge_urls",
        meaning: "caches to purge, or webhooks to call, when a page changes",
    },
    Key {
        name: "purge_method",
        meaning: "PURGE (caches) or POST (webhooks)",
    },
    Key {
        name: "purge_header",
        meaning: "a header for it, \"Name: value\"",
    },
    Key {
        name: "prewarm_urls",
        meaning: "caches through which a changed page is asked for once",
    },
    Key {
        name: "page_keep_hours",
        meaning: "how long pages stay after their round's end",
    },
    Key {
        name: "asset_keep_hours",
        meaning: "how long assets stay that no page needs any more",
    },
    Key {
        name: "picture_keep_hours",
        meaning: "how long pictures stay that no page shows and no round names",
    },
    Key {
        name: "edges",
        meaning: "the /metrics of every edge, which the console's board reads",
    },
    Key {
        name: "edge_workers",
        meaning: "nginx workers; auto: one a core",
    },
    Key {
        name: "access_logs",
        meaning: "access logs of all edges, which the analysis reads",
    },
    Key {
        name: "analysis",
        meaning: "off, propose or ban: what is done with likely programs",
    },
    Key {
        name: "analysis_propose_score",
        meaning: "from this score on operators are told",
    },
    Key {
        name: "analysis_ban_score",
        meaning: "from this score on the policy \"ban\" bans",
    },
    Key {
        name: "analysis_ban_minutes",
        meaning: "how long such a ban lasts",
    },
    Key {
        name: "analysis_bans_per_minute",
        meaning: "how many of them at most; the others wait",
    },
    Key {
        name: "analysis_allow",
        meaning: "addresses and networks that are never found",
    },
    Key {
        name: "simulation_rounds",
        meaning: "rounds in which the console may let programs buy",
    },
    Key {
        name: "log",
        meaning: "what is logged",
    },
    Key {
        name: "log_format",
        meaning: "human or json",
    },
    Key {
        name: "nginx",
        meaning: "the nginx executable",
    },
    Key {
        name: "redis_server",
        meaning: "the redis-server executable",
    },
    Key {
        name: "module",
        meaning: "the nginx module",
    },
    Key {
        name: "home",
        meaning: "folder with html/, conf/ and examples/",
    },
    Key {
        name: "config",
        meaning: "the configuration file",
    },
];

/// The key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
