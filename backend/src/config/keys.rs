//! Every key there is, with its variable and its meaning.

/// What a key is.
mod key;
/// The keys of secrets.
mod secrets;

pub use key::{FILE_KEY, Key, PREFIX};
pub(super) use secrets::SECRETS;

/// All of them, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    Key {
        name: "data",
        meaning: "data folder: everything that is written",
    },
    Key {
        name: "port",
        meaning: "port of the edge, which serves shoppers",
    },
    Key {
        name: "console_port",
        meaning: "port of the console",
    },
    Key {
        name: "console_address",
        meaning: "local (only this machine), or the address the console listens on",
    },
    Key {
        name: "console_second_factor",
        meaning: "optional, or required: everybody at the console sets up a second factor",
    },
    Key {
        name: "console_url",
        meaning: "the console's address as browsers know it, without a path",
    },
    Key {
        name: "console_oidc_issuer",
        meaning: "OpenID provider of single sign-on at the console; none: passwords only",
    },
    Key {
        name: "console_oidc_client_id",
        meaning: "the console's client id at that provider",
    },
    Key {
        name: "console_oidc_client_secret",
        meaning: "its secret there; none: a public client",
    },
    Key {
        name: "console_oidc_client_secret_file",
        meaning: "file that holds console_oidc_client_secret, for secrets",
    },
    Key {
        name: "console_oidc_name",
        meaning: "what the login page calls the provider; none: its host",
    },
    Key {
        name: "console_oidc_scope",
        meaning: "scopes that are requested, separated by spaces",
    },
    Key {
        name: "console_oidc_role_claim",
        meaning: "claim of the ID token that gives the role; dots lead into a claim",
    },
    Key {
        name: "console_oidc_supervisors",
        meaning: "values of that claim that make a supervisor, separated by commas",
    },
    Key {
        name: "console_oidc_operators",
        meaning: "values of that claim that make an operator, separated by commas",
    },
    Key {
        name: "console_oidc_create",
        meaning: "on: a person's first login makes an account; off: accounts are linked",
    },
    Key {
        name: "console_oidc_logout",
        meaning: "on: who logs out at the console is logged out at the issuer too",
    },
    Key {
        name: "console_oidc_only",
        meaning: "on: nobody logs in by password but console_oidc_break_glass",
    },
    Key {
        name: "console_oidc_break_glass",
        meaning: "account whose password works nevertheless; none: none",
    },
    Key {
        name: "demo_login",
        meaning: "on: anybody may log in under any name of letters and digits",
    },
    Key {
        name: "jwt_jwks",
        meaning: "file or URL of the keys (JWKS) of your login's tokens; none: no tokens",
    },
    Key {
        name: "jwt_claim",
        meaning: "claim of a token that names the buyer",
    },
    Key {
        name: "jwt_issuer",
        meaning: "issuer whose tokens are believed; none: any",
    },
    Key {
        name: "jwt_audience",
        meaning: "audiences of which a token must name one; none: any",
    },
    Key {
        name: "jwt_cookie",
        meaning: "cookie that holds a token, besides the header Authorization",
    },
    Key {
        name: "login_url",
        meaning: "your login, to which pages lead; {return} stands for the page; none: none",
    },
    Key {
        name: "logout_url",
        meaning: "where your shop logs out; none: the session alone ends",
    },
    Key {
        name: "login_keys",
        meaning: "key ring file shared with your servers that begin sessions",
    },
    Key {
        name: "shop_origins",
        meaning: "origins of pages on other names that may post for a buyer",
    },
    Key {
        name: "cookie_domain",
        meaning: "domain of the session cookie; none: the host that sets it",
    },
    Key {
        name: "cookie_same_site",
        meaning: "lax, strict or none: SameSite of the session cookie",
    },
    Key {
        name: "cookie_secure",
        meaning: "auto (if site_url is https), on or off: Secure of the session cookie",
    },
    Key {
        name: "digest",
        meaning: "hmac-sha256 or md5: digest of purchase URLs, as the edges' seckill_digest",
    },
    Key {
        name: "captcha",
        meaning: "off, slider, turnstile or hcaptcha: which captcha a purchase needs",
    },
    Key {
        name: "captcha_work_bits",
        meaning: "slider: zero bits of the proof of work instead of a drag; one more doubles it",
    },
    Key {
        name: "captcha_redis_url",
        meaning: "slider: Redis of the puzzles; unset: redis_url",
    },
    Key {
        name: "captcha_redis_url_file",
        meaning: "file that holds captcha_redis_url, for secrets",
    },
    Key {
        name: "captcha_site_key",
        meaning: "turnstile, hcaptcha: public key",
    },
    Key {
        name: "captcha_secret",
        meaning: "turnstile, hcaptcha: file with the secret",
    },
    Key {
        name: "captcha_secret_file",
        meaning: "file that holds captcha_secret, for secrets",
    },
    Key {
        name: "captcha_verify_url",
        meaning: "turnstile, hcaptcha: URL that verifies solutions",
    },
    Key {
        name: "captcha_when_away",
        meaning: "turnstile, hcaptcha: refuse or pass buyers while the service is away",
    },
    Key {
        name: "time_zone",
        meaning: "time zone whose midnight separates the days",
    },
    Key {
        name: "site_rate",
        meaning: "requests per second that the site admits",
    },
    Key {
        name: "site_burst",
        meaning: "requests admitted at once above that rate",
    },
    Key {
        name: "orders_per_second",
        meaning: "orders placed per second, at most",
    },
    Key {
        name: "pay_within",
        meaning: "seconds a buyer has to pay",
    },
    Key {
        name: "pay_grace",
        meaning: "seconds an order still waits for money after that",
    },
    Key {
        name: "refund_stock",
        meaning: "keep or release: whether a refunded order's items are for sale again",
    },
    Key {
        name: "currency",
        meaning: "currency of all prices, three letters",
    },
    Key {
        name: "order_attempts",
        meaning: "attempts to place an order before its message is a dead letter",
    },
    Key {
        name: "redrive_minutes",
        meaning: "minutes between redrives of the dead letters; 0: only by command",
    },
    Key {
        name: "backlog_after",
        meaning: "seconds an order message may wait before the oldest are failed",
    },
    Key {
        name: "notify_webhook",
        meaning: "URL to which notifications are posted, signed; none: no webhook",
    },
    Key {
        name: "notify_webhook_file",
        meaning: "file that holds notify_webhook, for secrets",
    },
    Key {
        name: "notify_keys",
        meaning: "key ring file shared with the webhook's receiver",
    },
    Key {
        name: "notify_smtp",
        meaning: "mail server for notifications; none: no e-mail",
    },
    Key {
        name: "notify_smtp_file",
        meaning: "file that holds notify_smtp, for secrets",
    },
    Key {
        name: "notify_from",
        meaning: "sender of e-mails",
    },
    Key {
        name: "notify_email",
        meaning: "recipient of e-mails; {user} stands for the buyer's name",
    },
    Key {
        name: "notify_language",
        meaning: "language of e-mails to buyers whose language is unknown",
    },
    Key {
        name: "orders_webhook",
        meaning: "URL to which every change of an order is posted, signed; none: no webhook",
    },
    Key {
        name: "feed_keep_days",
        meaning: "days that changes of orders can be sent again",
    },
    Key {
        name: "inventory_url",
        meaning: "URL of the shop's own inventory; none: amounts are only ours",
    },
    Key {
        name: "inventory_keys",
        meaning: "key ring file shared with the inventory",
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
        name: "rocketmq_feed_topic",
        meaning: "topic of changes of orders, message.type=FIFO; none: no topic",
    },
    Key {
        name: "journal_max_mb",
        meaning: "MB of purchases journalled while Redis is away; 0: they are refused",
    },
    Key {
        name: "in_flight_ms",
        meaning: "ms a request may take between edge and back end",
    },
    Key {
        name: "redis_url",
        meaning: "Redis; unset: the one that \"seckill up\" starts",
    },
    Key {
        name: "redis_url_file",
        meaning: "file that holds redis_url, for secrets",
    },
    Key {
        name: "redis_wait_replicas",
        meaning: "replicas that must have a purchase before it counts; 0: none",
    },
    Key {
        name: "redis_wait_ms",
        meaning: "ms to wait for them; then the purchase is in progress until they have it",
    },
    Key {
        name: "redis_segments",
        meaning: "Redis masters that hold the stock; none: redis_url",
    },
    Key {
        name: "redis_segments_file",
        meaning: "file that holds redis_segments, for secrets",
    },
    Key {
        name: "redis_port",
        meaning: "TCP port of the Redis of \"seckill up\", besides its socket; 0: none",
    },
    Key {
        name: "database_url",
        meaning: "database of sales and orders",
    },
    Key {
        name: "database_url_file",
        meaning: "file that holds database_url, for secrets",
    },
    Key {
        name: "order_databases",
        meaning: "databases that orders are spread over by buyer",
    },
    Key {
        name: "order_databases_file",
        meaning: "file that holds order_databases, for secrets",
    },
    Key {
        name: "keys",
        meaning: "key ring file of sessions and purchase URLs",
    },
    Key {
        name: "payment_keys",
        meaning: "key ring file shared with the payment provider",
    },
    Key {
        name: "payments",
        meaning: "file with the payment providers' settings",
    },
    Key {
        name: "order_form",
        meaning: "file with the fields that orders need from their buyers",
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
        name: "status_listen",
        meaning: "where a process serves its /metrics besides; none: with purchase and ops only",
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
        name: "purge_header_file",
        meaning: "file that holds purge_header, for secrets",
    },
    Key {
        name: "prewarm_urls",
        meaning: "caches that fetch a changed page at once",
    },
    Key {
        name: "retire_hours",
        meaning: "hours after its end when a settled round leaves Redis; 0: never",
    },
    Key {
        name: "page_keep_hours",
        meaning: "hours that pages stay after their round's end",
    },
    Key {
        name: "asset_keep_hours",
        meaning: "hours that assets stay that no page needs any more",
    },
    Key {
        name: "picture_keep_hours",
        meaning: "hours that pictures stay that no page shows and no round names",
    },
    Key {
        name: "board_history_days",
        meaning: "days that the numbers of the console's board are kept",
    },
    Key {
        name: "keep_orders_days",
        meaning: "days that orders and payments of settled rounds are kept; 0: for ever",
    },
    Key {
        name: "keep_ledger_days",
        meaning: "days that the archived ledger of settled rounds is kept; 0: for ever",
    },
    Key {
        name: "keep_notices_days",
        meaning: "days that notifications are kept that no longer wait; 0: for ever",
    },
    Key {
        name: "keep_audit_days",
        meaning: "days that the audit log is kept; 0: for ever",
    },
    Key {
        name: "keep_findings_days",
        meaning: "days that findings are kept whose ban is over; 0: for ever",
    },
    Key {
        name: "keep_exports",
        meaning: "folder to which is exported what is removed from the database",
    },
    Key {
        name: "alerts_webhook",
        meaning: "where the board's alerts are posted, signed with notify_keys; none: nowhere",
    },
    Key {
        name: "otlp_url",
        meaning: "collector that takes traces of purchases (OTLP over HTTP); none: no traces",
    },
    Key {
        name: "trace_ratio",
        meaning: "share of purchases that are traced, 0 to 1",
    },
    Key {
        name: "edges",
        meaning: "URLs of the metrics of every edge, for the console's board",
    },
    Key {
        name: "edge_workers",
        meaning: "nginx workers; auto: one a core",
    },
    Key {
        name: "site",
        meaning: "name of this site, if several sell the same rounds; none: it sells alone",
    },
    Key {
        name: "site_peers",
        meaning: "name and address of every other site",
    },
    Key {
        name: "site_home",
        meaning: "the site that sells on however long it is cut off, and declares others lost",
    },
    Key {
        name: "site_keys",
        meaning: "key ring file shared by all sites",
    },
    Key {
        name: "site_listen",
        meaning: "where the relay role listens for the other sites",
    },
    Key {
        name: "site_lost_after",
        meaning: "seconds after which a site that the home does not hear counts as lost",
    },
    Key {
        name: "access_logs",
        meaning: "access logs of all edges, for the analysis",
    },
    Key {
        name: "analysis",
        meaning: "off, propose or ban: what is done with likely programs",
    },
    Key {
        name: "analysis_propose_score",
        meaning: "score from which a finding is reported to operators",
    },
    Key {
        name: "analysis_ban_score",
        meaning: "score from which the policy \"ban\" bans",
    },
    Key {
        name: "analysis_ban_minutes",
        meaning: "minutes that such a ban lasts",
    },
    Key {
        name: "analysis_bans_per_minute",
        meaning: "most such bans per minute; the others wait",
    },
    Key {
        name: "analysis_allow",
        meaning: "addresses and networks that are never judged",
    },
    Key {
        name: "simulation_rounds",
        meaning: "rounds in which the console may run simulated shoppers",
    },
    Key {
        name: "log",
        meaning: "level of the log",
    },
    Key {
        name: "log_format",
        meaning: "format of log lines: human or json",
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
