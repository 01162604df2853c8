//! Every key there is, with its variable and its meaning.

/// What a key is.
mod key;
/// The keys of secrets.
mod secrets;

use key::key;
pub use key::{FILE_KEY, Key, PREFIX};
pub(super) use secrets::{SECRETS, may_be_secret};

/// All of them, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key("data", "data folder: everything that is written"),
    key("port", "port of the edge, which serves shoppers"),
    key("console_port", "port of the console"),
    key(
        "console_address",
        "local (only this machine), or the address the console listens on",
    ),
    key(
        "console_second_factor",
        "optional, or required: everybody at the console sets up a second factor",
    ),
    key(
        "console_url",
        "the console's address as browsers know it, without a path",
    ),
    key(
        "console_oidc_issuer",
        "OpenID provider of single sign-on at the console; none: passwords only",
    ),
    key(
        "console_oidc_client_id",
        "the console's client id at that provider",
    ),
    key(
        "console_oidc_client_secret",
        "its secret there; none: a public client",
    ),
    key(
        "console_oidc_client_secret_file",
        "file that holds console_oidc_client_secret, for secrets",
    ),
    key(
        "console_oidc_name",
        "what the login page calls the provider; none: its host",
    ),
    key(
        "console_oidc_scope",
        "scopes that are requested, separated by spaces",
    ),
    key(
        "console_oidc_role_claim",
        "claim of the ID token that gives the role; dots lead into a claim",
    ),
    key(
        "console_oidc_supervisors",
        "values of that claim that make a supervisor, separated by commas",
    ),
    key(
        "console_oidc_operators",
        "values of that claim that make an operator, separated by commas",
    ),
    key(
        "console_oidc_create",
        "on: a person's first login makes an account; off: accounts are linked",
    ),
    key(
        "console_oidc_logout",
        "on: who logs out at the console is logged out at the issuer too",
    ),
    key(
        "console_oidc_only",
        "on: nobody logs in by password but console_oidc_break_glass",
    ),
    key(
        "console_oidc_break_glass",
        "account whose password works nevertheless; none: none",
    ),
    key(
        "demo_login",
        "on: anybody may log in under any name of letters and digits",
    ),
    key(
        "jwt_jwks",
        "file or URL of the keys (JWKS) of your login's tokens; none: no tokens",
    ),
    key("jwt_claim", "claim of a token that names the buyer"),
    key("jwt_issuer", "issuer whose tokens are believed; none: any"),
    key(
        "jwt_audience",
        "audiences of which a token must name one; none: any",
    ),
    key(
        "jwt_cookie",
        "cookie that holds a token, besides the header Authorization",
    ),
    key(
        "login_url",
        "your login, to which pages lead; {return} stands for the page; none: none",
    ),
    key(
        "logout_url",
        "where your shop logs out; none: the session alone ends",
    ),
    key(
        "login_keys",
        "key ring file shared with your servers that begin sessions",
    ),
    key(
        "shop_origins",
        "origins of pages on other names that may post for a buyer",
    ),
    key(
        "cookie_domain",
        "domain of the session cookie; none: the host that sets it",
    ),
    key(
        "cookie_same_site",
        "lax, strict or none: SameSite of the session cookie",
    ),
    key(
        "cookie_secure",
        "auto (if site_url is https), on or off: Secure of the session cookie",
    ),
    key(
        "digest",
        "hmac-sha256 or md5: digest of purchase URLs, as the edges' seckill_digest",
    ),
    key(
        "captcha",
        "off, slider, turnstile or hcaptcha: which captcha a purchase needs",
    ),
    key(
        "captcha_work_bits",
        "slider: zero bits of the proof of work instead of a drag; one more doubles it",
    ),
    key(
        "captcha_redis_url",
        "slider: Redis of the puzzles; unset: redis_url",
    ),
    key(
        "captcha_redis_url_file",
        "file that holds captcha_redis_url, for secrets",
    ),
    key("captcha_site_key", "turnstile, hcaptcha: public key"),
    key(
        "captcha_secret",
        "turnstile, hcaptcha: file with the secret",
    ),
    key(
        "captcha_secret_file",
        "file that holds captcha_secret, for secrets",
    ),
    key(
        "captcha_verify_url",
        "turnstile, hcaptcha: URL that verifies solutions",
    ),
    key(
        "captcha_when_away",
        "turnstile, hcaptcha: refuse or pass buyers while the service is away",
    ),
    key("time_zone", "time zone whose midnight separates the days"),
    key("site_rate", "requests per second that the site admits"),
    key("site_burst", "requests admitted at once above that rate"),
    key("orders_per_second", "orders placed per second, at most"),
    key("pay_within", "seconds a buyer has to pay"),
    key(
        "pay_grace",
        "seconds an order still waits for money after that",
    ),
    key(
        "refund_stock",
        "keep or release: whether a refunded order's items are for sale again",
    ),
    key("currency", "currency of all prices, three letters"),
    key(
        "order_attempts",
        "attempts to place an order before its message is a dead letter",
    ),
    key(
        "redrive_minutes",
        "minutes between redrives of the dead letters; 0: only by command",
    ),
    key(
        "backlog_after",
        "seconds an order message may wait before the oldest are failed",
    ),
    key(
        "notify_webhook",
        "URL to which notifications are posted, signed; none: no webhook",
    ),
    key(
        "notify_webhook_file",
        "file that holds notify_webhook, for secrets",
    ),
    key(
        "notify_keys",
        "key ring file shared with the webhook's receiver",
    ),
    key(
        "notify_smtp",
        "mail server for notifications; none: no e-mail",
    ),
    key(
        "notify_smtp_file",
        "file that holds notify_smtp, for secrets",
    ),
    key("notify_from", "sender of e-mails"),
    key(
        "notify_email",
        "recipient of e-mails; {user} stands for the buyer's name",
    ),
    key(
        "notify_language",
        "language of e-mails to buyers whose language is unknown",
    ),
    key(
        "orders_webhook",
        "URL to which every change of an order is posted, signed; none: no webhook",
    ),
    key(
        "feed_keep_days",
        "days that changes of orders can be sent again",
    ),
    key(
        "inventory_url",
        "URL of the shop's own inventory; none: amounts are only ours",
    ),
    key("inventory_keys", "key ring file shared with the inventory"),
    key("queue", "streams (in Redis) or rocketmq"),
    key("rocketmq_endpoint", "HOST:PORT of RocketMQ's proxy (gRPC)"),
    key(
        "rocketmq_orders_topic",
        "topic of purchases, message.type=NORMAL",
    ),
    key(
        "rocketmq_cancels_topic",
        "topic of delayed cancels, message.type=DELAY",
    ),
    key(
        "rocketmq_feed_topic",
        "topic of changes of orders, message.type=FIFO; none: no topic",
    ),
    key(
        "journal_max_mb",
        "MB of purchases journalled while Redis is away; 0: they are refused",
    ),
    key(
        "in_flight_ms",
        "ms a request may take between edge and back end",
    ),
    key(
        "redis_url",
        "Redis; unset: the one that \"seckill up\" starts",
    ),
    key("redis_url_file", "file that holds redis_url, for secrets"),
    key(
        "redis_wait_replicas",
        "replicas that must have a purchase before it counts; 0: none",
    ),
    key(
        "redis_wait_ms",
        "ms to wait for them; then the purchase is in progress until they have it",
    ),
    key(
        "redis_segments",
        "Redis masters that hold the stock; none: redis_url",
    ),
    key(
        "redis_segments_file",
        "file that holds redis_segments, for secrets",
    ),
    key(
        "redis_port",
        "TCP port of the Redis of \"seckill up\", besides its socket; 0: none",
    ),
    key("database_url", "database of sales and orders"),
    key(
        "database_url_file",
        "file that holds database_url, for secrets",
    ),
    key(
        "order_databases",
        "databases that orders are spread over by buyer",
    ),
    key(
        "order_databases_file",
        "file that holds order_databases, for secrets",
    ),
    key("keys", "key ring file of sessions and purchase URLs"),
    key(
        "payment_keys",
        "key ring file shared with the payment provider",
    ),
    key("payments", "file with the payment providers' settings"),
    key(
        "order_form",
        "file with the fields that orders need from their buyers",
    ),
    key("purchase_listen", "where the purchase role listens"),
    key("ops_listen", "where the ops role listens"),
    key(
        "status_listen",
        "where a process serves its /metrics besides; none: with purchase and ops only",
    ),
    key("site_url", "the shop's address as shoppers know it"),
    key(
        "purge_urls",
        "caches to purge, or webhooks to call, when a page changes",
    ),
    key("purge_method", "PURGE (caches) or POST (webhooks)"),
    key("purge_header", "a header for it, \"Name: value\""),
    key(
        "purge_header_file",
        "file that holds purge_header, for secrets",
    ),
    key("prewarm_urls", "caches that fetch a changed page at once"),
    key(
        "retire_hours",
        "hours after its end or withdrawal when a settled round leaves Redis; 0: never",
    ),
    key(
        "page_keep_hours",
        "hours that pages stay after their round's end",
    ),
    key(
        "asset_keep_hours",
        "hours that assets stay that no page needs any more",
    ),
    key(
        "picture_keep_hours",
        "hours that pictures stay that no page shows and no round names",
    ),
    key(
        "board_history_days",
        "days that the numbers of the console's board are kept",
    ),
    key(
        "keep_orders_days",
        "days that orders and payments of settled rounds are kept; 0: for ever",
    ),
    key(
        "keep_ledger_days",
        "days that the archived ledger of settled rounds is kept; 0: for ever",
    ),
    key(
        "keep_notices_days",
        "days that notifications are kept that no longer wait; 0: for ever",
    ),
    key(
        "keep_audit_days",
        "days that the audit log is kept; 0: for ever",
    ),
    key(
        "keep_findings_days",
        "days that findings are kept once they are not seen and not banned; 0: for ever",
    ),
    key(
        "keep_exports",
        "folder to which is exported what is removed from the database",
    ),
    key(
        "alerts_webhook",
        "where the board's alerts are posted, signed with notify_keys; none: nowhere",
    ),
    key(
        "otlp_url",
        "collector that takes traces of purchases (OTLP over HTTP); none: no traces",
    ),
    key("trace_ratio", "share of purchases that are traced, 0 to 1"),
    key(
        "edges",
        "URLs of the metrics of every edge, for the console's board",
    ),
    key("edge_workers", "nginx workers; auto: one a core"),
    key(
        "site",
        "name of this site, if several sell the same rounds; none: it sells alone",
    ),
    key("site_peers", "name and address of every other site"),
    key(
        "site_home",
        "the site that sells on however long it is cut off, and declares others lost",
    ),
    key("site_keys", "key ring file shared by all sites"),
    key(
        "site_listen",
        "where the relay role listens for the other sites",
    ),
    key(
        "site_lost_after",
        "seconds after which a site that the home does not hear counts as lost",
    ),
    key("access_logs", "access logs of all edges, for the analysis"),
    key(
        "analysis",
        "off, propose or ban: what is done with likely programs",
    ),
    key(
        "analysis_propose_score",
        "score from which a finding is reported to operators",
    ),
    key(
        "analysis_ban_score",
        "score from which the policy \"ban\" bans",
    ),
    key("analysis_ban_minutes", "minutes that such a ban lasts"),
    key(
        "analysis_bans_per_minute",
        "most such bans per minute; the others wait",
    ),
    key(
        "analysis_allow",
        "addresses and networks that are never judged",
    ),
    key(
        "simulation_rounds",
        "rounds in which the console may run simulated shoppers",
    ),
    key("log", "level of the log"),
    key("log_format", "format of log lines: human or json"),
    key(
        "log_mb",
        "megabytes a log of \"up\" grows to before it is renamed to NAME.1; 0: never renamed",
    ),
    key("nginx", "the nginx executable"),
    key("redis_server", "the redis-server executable"),
    key("module", "the nginx module"),
    key("home", "folder with html/, conf/ and examples/"),
    key("config", "the configuration file"),
];

/// The key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
