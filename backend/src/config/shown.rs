//! Prints what is in force, secrets masked.

use super::Source;

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Its value, masked if secret.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// What stands in place of a secret.
pub(super) const MASK: &str = "******";

/// Schemes of servers whose path names a database, which is no secret.
const STORES: [&str; 8] = [
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "mysql",
    "mariadb",
    "postgres",
    "postgresql",
];
/// The path at which edges serve their metrics.
const METRICS: &str = "/metrics";

/// The URL as it may be shown: its scheme, its host and port, the file, socket or database
/// that it names, and nothing else. Credentials need no colon to be secret, parameters
/// have any name, and the path of a web hook is often all that protects it.
#[must_use]
pub fn masked_url(url: &str) -> String {
    let file = |scheme: &str, path: &str| match path.split_once('?') {
        Some((path, _)) => format!("{scheme}{path}?{MASK}"),
        None => format!("{scheme}{path}"),
    };
    if let Some(path) = url.strip_prefix("sqlite:") {
        return file("sqlite:", path);
    }
    let Some((scheme, rest)) = url.split_once("://").filter(|(it, _)| is_scheme(it)) else {
        // No URL: perhaps "user:password@host", perhaps the password itself.
        return MASK.to_owned();
    };
    if scheme == "unix" && rest.starts_with('/') {
        return file("unix://", rest);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if path.contains('@') {
        // A password may hold any of these signs: what is the host is not known.
        return format!("{scheme}://{MASK}");
    }
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((_, hosts)) => (format!("{MASK}@"), hosts),
        None => (String::new(), authority),
    };
    let hosts: Vec<String> = hosts.split(',').map(masked_port).collect();
    let path = masked_path(scheme, path);
    format!("{scheme}://{credentials}{}{path}", hosts.join(","))
}

fn is_scheme(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    !text.is_empty() && text.bytes().all(is_plain)
}

/// Masks what stands in the place of a port and is none: a password without its host.
fn masked_port(host: &str) -> String {
    let is_port = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, port)) if !is_port(port) && !host.ends_with(']') => format!("{name}:{MASK}"),
        _ => host.to_owned(),
    }
}

/// What follows the host.
fn masked_path(scheme: &str, path: &str) -> String {
    let (before, query) = match path.find(['?', '#']) {
        Some(at) => (&path[..at], MASK),
        None => (path, ""),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
    let is_known = matches!(before, "" | "/" | METRICS)
        || (STORES.contains(&scheme) && before.chars().all(is_name));
    match (is_known, query) {
        (true, "") => before.to_owned(),
        (true, _) => format!("{before}?{MASK}"),
        (false, _) => format!("/{MASK}"),
    }
}

/// A table for people: key, value, origin, meaning.
pub(super) fn table(settings: &[Setting]) -> String {
    let width = |of: fn(&Setting) -> usize| settings.iter().map(of).max().unwrap_or(0);
    let key_width = width(|s| s.key.len());
    let value_width = width(|s| s.value.chars().count());
    let source_width = width(|s| s.source.to_string().chars().count());
    let line = |s: &Setting| {
        let (key, value, source) = (s.key, &s.value, s.source.to_string());
        format!(
            "{key:key_width$}  {value:value_width$}  {source:source_width$}  {}\n",
            s.meaning
        )
    };
    settings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_host_and_database_survive_the_mask() {
        let cases = [
            ("redis://:s3cret@h:6379/0", "redis://******@h:6379/0"),
            ("redis://s3cret@h", "redis://******@h"),
            ("redis://li:s3c@ret@h:6379", "redis://******@h:6379"),
            (
                "redis+sentinel://:s3cret@a:1,b:2/shop",
                "redis+sentinel://******@a:1,b:2/shop",
            ),
            (
                "unix:///run/r.sock?db=1&pass=s3cret",
                "unix:///run/r.sock?******",
            ),
            // Which of these signs ends the password is not known.
            ("redis://:s3c?ret@h:6379/0", "redis://******"),
            ("redis://li:s3c/r#e\"t@h", "redis://******"),
            ("redis://li:s3c@r/e@h", "redis://******"),
            (
                "mysql://li:s3cret@h/d?ssl-mode=required",
                "mysql://******@h/d?******",
            ),
            (
                "postgres://li@h/d?sslmode=require&password=s3c%26ret&host=/run",
                "postgres://******@h/d?******",
            ),
            ("smtps://li:s3cret", "smtps://li:******"),
            ("li:s3cret", "******"),
            ("s3cret", "******"),
            ("li:s3cret@mail.example", "******"),
            ("s3 cret://h", "******"),
            ("smtp://mail.example:25", "smtp://mail.example:25"),
            (
                "https://hooks.slack.com/services/T00/B00/s3cret",
                "https://hooks.slack.com/******",
            ),
            ("https://h/?sig=s3cret", "https://h/?******"),
            ("https://h?auth=s3cret", "https://h?******"),
            ("https://h#s3cret", "https://h?******"),
            ("https://s3cret@h:8443/", "https://******@h:8443/"),
            (
                "http://u:s3cret@10.0.0.1:8080/metrics",
                "http://******@10.0.0.1:8080/metrics",
            ),
            ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
            ("redis://[::1]", "redis://[::1]"),
            ("redis://h:6379", "redis://h:6379"),
            ("sqlite:/data/seckill.db", "sqlite:/data/seckill.db"),
            ("sqlite:/data/s.db?mode=ro", "sqlite:/data/s.db?******"),
        ];
        for (url, masked) in cases {
            assert_eq!(masked_url(url), masked);
        }
    }
}
