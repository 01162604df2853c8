//! Which settings may hold a secret.

/// Settings that may hold a secret, each with the one that names a file to read it from.
pub(in crate::config) const SECRETS: [(&str, &str); 10] = [
    ("captcha_redis_url", "captcha_redis_url_file"),
    ("captcha_secret", "captcha_secret_file"),
    (
        "console_oidc_client_secret",
        "console_oidc_client_secret_file",
    ),
    ("notify_webhook", "notify_webhook_file"),
    ("notify_smtp", "notify_smtp_file"),
    ("redis_url", "redis_url_file"),
    ("redis_segments", "redis_segments_file"),
    ("database_url", "database_url_file"),
    ("order_databases", "order_databases_file"),
    ("purge_header", "purge_header_file"),
];

/// Other settings that are or hold addresses, in which secrets may stand: credentials, the
/// path of a web hook, parameters.
const ADDRESSES: [&str; 16] = [
    "alerts_webhook",
    "captcha_verify_url",
    "console_oidc_issuer",
    "console_url",
    "edges",
    "inventory_url",
    "jwt_jwks",
    "login_url",
    "logout_url",
    "orders_webhook",
    "otlp_url",
    "prewarm_urls",
    "purge_urls",
    "shop_origins",
    "site_peers",
    "site_url",
];

/// Whether a secret may stand in the value of this key.
pub(in crate::config) fn may_be_secret(key: &str) -> bool {
    SECRETS.iter().any(|(name, _)| *name == key) || ADDRESSES.contains(&key)
}
