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
