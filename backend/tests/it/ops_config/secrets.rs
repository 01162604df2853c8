//! What may hold a secret is never shown whole, in a list as in a refusal.

use super::*;

#[test]
fn what_may_hold_a_secret_is_shown_with_its_host_only() {
    let cases = [
        ("redis_url", "redis://li:s3cret@h:6379/0"),
        ("redis_url", "redis://s3cret@h"),
        ("redis_segments", "redis://:s3cret@h, redis://:s3cret@h:2"),
        ("database_url", "mysql://li:s3cret@h/shop"),
        ("order_databases", "mysql://li:s3cret@h/shop"),
        ("captcha_redis_url", "redis://:s3cret@h"),
        ("captcha_verify_url", "https://h/s3cret"),
        ("notify_smtp", "smtps://li:s3cret@h"),
        ("notify_webhook", "https://h/services/T00/s3cret"),
        ("alerts_webhook", "https://h/hook?sig=s3cret"),
        ("orders_webhook", "https://s3cret@h"),
        ("inventory_url", "https://h?auth=s3cret"),
        ("otlp_url", "https://h/s3cret"),
        ("edges", "http://u:s3cret@h/metrics"),
        ("site_url", "https://u:s3cret@h"),
        ("purge_urls", "https://h/zones/s3cret"),
        ("prewarm_urls", "https://h/?token=s3cret"),
        ("login_url", "https://u:s3cret@h/{return}?token=s3cret"),
        ("logout_url", "https://h/s3cret"),
        ("jwt_jwks", "https://h/s3cret"),
        ("site_peers", "west http://u:s3cret@h"),
    ];
    for (key, value) in cases {
        let variable = format!("SECKILL_{}", key.to_uppercase());
        let config = load("", &[(&variable, value)], &[]).unwrap();
        let (shown, _) = origin(&config, key);
        assert!(!config.table().contains("s3cret"), "{key}: {shown}");
        assert!(
            shown.contains("://") && shown.contains('h'),
            "{key}: {shown}"
        );
    }
    let config = load("login_url = \"/login?token=s3cret\"", &[], &[]).unwrap();
    assert_eq!(origin(&config, "login_url").0, "/login");
}

#[test]
fn a_wrong_value_that_may_be_a_secret_is_not_shown() {
    let cases = [
        ("redis_url", "Tr0ub4dor-s3cret", "redis://HOST:PORT/DB"),
        ("redis_url", "http://li:s3cret@h", "redis://HOST:PORT/DB"),
        ("database_url", "oracle://s3cret", "sqlite:/PATH"),
        ("alerts_webhook", "s3cret", "https://HOST/PATH"),
        ("edges", "ftp://h/s3cret", "http://10.0.0.1/metrics"),
        ("login_url", "u:s3cret@h", "https://example.com"),
        ("shop_origins", "https://u:s3cret@h", "https://mall"),
        ("purge_header", "s3cret", "Authorization"),
        ("rocketmq_endpoint", "u:s3cret@h:1", "HOST:PORT"),
    ];
    for (key, value, right) in cases {
        let variable = format!("SECKILL_{}", key.to_uppercase());
        let error = load("", &[(&variable, value)], &[]).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
        let length = value.len();
        let said = format!("{key} (from {variable}; {length} characters, which are not shown)");
        assert!(error.contains(&said) && error.contains(right), "{error}");
    }
}

#[test]
fn what_a_file_holds_is_never_shown_and_may_begin_with_a_mark() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("secret");
    let cases = [
        ("redis_url", "redis://h"),
        ("redis_segments", "redis://h"),
        ("captcha_redis_url", "redis://h"),
        ("database_url", "mysql://h/d"),
        ("order_databases", "mysql://h/d"),
        ("notify_smtp", "smtp://h:25"),
        ("notify_webhook", "https://h/"),
        ("purge_header", "Authorization: s3cret"),
        ("console_oidc_client_secret", "s3cret"),
    ];
    for (key, good) in cases {
        let variable = format!("SECKILL_{}_FILE", key.to_uppercase());
        let named = [(variable.as_str(), path.to_str().unwrap())];
        std::fs::write(&path, format!("\u{feff}{good}\r\n")).unwrap();
        let config = load("", &named, &[]).unwrap();
        assert_eq!(origin(&config, key), ("******".into(), variable.clone()));
        if key == "console_oidc_client_secret" {
            continue;
        }
        std::fs::write(&path, "Tr0ub4dor-s3cret").unwrap();
        let error = load("", &named, &[]).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
        assert!(
            error.contains(&format!("{key} (from {variable}; 16 characters")),
            "{error}"
        );
    }
}

#[test]
fn a_secret_in_the_place_of_its_files_path_is_not_shown() {
    for secret in ["redis://:s3cret@h", "s3cret", "s3c/s3cret", "/s3cret"] {
        let error = load("", &[("SECKILL_REDIS_URL_FILE", secret)], &[]).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
        assert!(
            error.contains("redis_url_file (from SECKILL_REDIS_URL_FILE) names a path of"),
            "{error}"
        );
    }
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("redis").display().to_string();
    for path in [missing.as_str(), "/tmp"] {
        let error = load("", &[("SECKILL_REDIS_URL_FILE", path)], &[]).unwrap_err();
        let said = format!("redis_url_file (from SECKILL_REDIS_URL_FILE) names {path}, which");
        assert!(error.contains(&said), "{error}");
    }
}
