//! The arguments of nginx's `seckill_redis` for the Redis of an address.

use redis::ConnectionAddr;

use super::options::Options;
use super::sentinel::SentinelLogin;
use super::target::Target;

/// The arguments of `seckill_redis` by which an edge uses the Redis of this address, with
/// its login and its files for TLS; `None` if the address is wrong.
#[must_use]
pub fn directive(url: &str) -> Option<String> {
    let (_, options) = Options::split(url).ok()?;
    let target = Target::parse(url).ok()?;
    let info = target.info();
    let mut arguments = match &target {
        Target::Server(_) => vec![match info.addr() {
            ConnectionAddr::Unix(path) => quoted(&format!("unix:{}", path.display())),
            ConnectionAddr::Tcp(host, port) => place(host, *port),
            _ => return None,
        }],
        Target::Sentinels(sentinels) => {
            let places = sentinels.places().map(|(host, port)| place(host, *port));
            let name = quoted(&format!("sentinel={}", sentinels.name()));
            places.chain([name]).collect()
        }
    };
    let settings = info.redis_settings();
    if let Some(user) = settings.username() {
        arguments.push(quoted(&format!("user={user}")));
    }
    if let Some(password) = settings.password() {
        arguments.push(quoted(&format!("password={password}")));
    }
    if settings.db() != 0 {
        arguments.push(format!("db={}", settings.db()));
    }
    let option = |(name, value): (&str, &str)| quoted(&format!("{name}={value}"));
    let login = options.sentinel().into_iter();
    arguments.extend(login.flat_map(SentinelLogin::named).map(option));
    if let Some(tls) = options.tls() {
        arguments.push("tls=on".to_owned());
        arguments.extend(tls.map(option));
    }
    Some(arguments.join(" "))
}

fn place(host: &str, port: u16) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// A word of nginx's configuration, whatever is in it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_uses_the_same_redis_by_the_same_login() {
        for (url, expected) in [
            (
                "unix:///d/my run/redis.sock",
                r#""unix:/d/my run/redis.sock""#,
            ),
            ("redis://h:6380", "h:6380"),
            ("redis://[fd00::7]:6380", "[fd00::7]:6380"),
            ("redis://:s3cret@h/2", r#"h:6379 "password=s3cret" db=2"#),
            (
                "redis://app:s3%22c%5Cr%20et@h",
                r#"h:6379 "user=app" "password=s3\"c\\r et""#,
            ),
            ("rediss://h:6390/1", "h:6390 db=1 tls=on"),
            (
                "redis+sentinel://s1,s2:26380/shop",
                r#"s1:26379 s2:26380 "sentinel=shop""#,
            ),
            (
                "redis+sentinel://app:s3cret@a,[fd00::7]:1/shop/2",
                r#"a:26379 [fd00::7]:1 "sentinel=shop" "user=app" "password=s3cret" db=2"#,
            ),
            (
                "rediss+sentinel://a/shop",
                r#"a:26379 "sentinel=shop" tls=on"#,
            ),
            (
                "redis+sentinel://:m@a/shop?sentinel_user=app&sentinel_password=s%22t",
                r#"a:26379 "sentinel=shop" "password=m" "sentinel_user=app" "sentinel_password=s\"t""#,
            ),
        ] {
            assert_eq!(directive(url).as_deref(), Some(expected), "{url}");
        }
        assert_eq!(directive("http://h"), None);
    }
}
