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
const MASK: &str = "******";

/// The URL with its password masked, in the authority and in the query, whatever
/// characters the password has, and also if the text is no URL at all.
#[must_use]
pub fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // Not what was asked for, and perhaps "user:password@host".
        return match url.rsplit_once('@') {
            Some((_, host)) => format!("{MASK}@{}", masked_query(host)),
            None => masked_query(&masked_port(url)),
        };
    };
    // The last @ ends the credentials: a password may hold one itself, or any other sign
    // that ends an authority. A path without a host has no credentials.
    let credentials = rest.rsplit_once('@').filter(|_| !rest.starts_with('/'));
    let Some((credentials, host)) = credentials else {
        return format!("{scheme}://{}", masked_query(&masked_port(rest)));
    };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{MASK}@{}", masked_query(host)),
        None => format!("{scheme}://{credentials}@{}", masked_query(host)),
    }
}

/// Masks what stands in the place of a port and is none: a password without its host.
fn masked_port(rest: &str) -> String {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..end];
    match authority.rsplit_once(':') {
        Some((host, port))
            if !authority.starts_with('[') && !port.bytes().all(|it| it.is_ascii_digit()) =>
        {
            // Where the password ends is not known: nothing after it is shown.
            format!("{host}:{MASK}")
        }
        _ => rest.to_owned(),
    }
}

/// Masks the secrets among the parameters. What follows a secret without a name of its
/// own is a part of it.
fn masked_query(text: &str) -> String {
    let Some((before, query)) = text.split_once('?') else {
        return text.to_owned();
    };
    let mut pairs = Vec::new();
    let mut in_secret = false;
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => {
                pairs.push(format!("{name}={MASK}"));
                in_secret = true;
            }
            None if in_secret => {}
            _ => {
                pairs.push(pair.to_owned());
                in_secret = false;
            }
        }
    }
    format!("{before}?{}", pairs.join("&"))
}

/// Whether a parameter of this name holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = ["pass", "pwd", "secret", "token", "key"];
    words.iter().any(|word| name.contains(word))
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
    fn no_password_survives_the_mask() {
        let cases = [
            ("redis://:s3cret@h:6379/0", "redis://:******@h:6379/0"),
            ("redis://li:s3c@ret@h:6379", "redis://li:******@h:6379"),
            (
                "unix:///run/r.sock?db=1&pass=s3cret",
                "unix:///run/r.sock?db=1&pass=******",
            ),
            ("redis://:s3c?ret@h:6379/0", "redis://:******@h:6379/0"),
            ("redis://li:s3c/r#e\"t@h", "redis://li:******@h"),
            (
                "mysql://li:s3c?ret=1&x@h/d?ssl-mode=required",
                "mysql://li:******@h/d?ssl-mode=required",
            ),
            (
                "postgres://li@h/d?sslmode=require&password=s3c%26ret&host=/run",
                "postgres://li@h/d?sslmode=require&password=******&host=/run",
            ),
            (
                "postgresql://li:s3c@ret@h:5432/d",
                "postgresql://li:******@h:5432/d",
            ),
            ("smtps://li:s3cret", "smtps://li:******"),
            ("li:s3cret", "li:******"),
            ("mail.example:25", "mail.example:25"),
            ("li:s3cret@mail.example", "******@mail.example"),
            (
                "unix:///run/r.sock?pass=s3c&ret&db=1",
                "unix:///run/r.sock?pass=******&db=1",
            ),
            (
                "https://h/hook?token=s3cret&shop=1",
                "https://h/hook?token=******&shop=1",
            ),
            ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
            ("redis://h:6379", "redis://h:6379"),
            ("sqlite:/data/seckill.db", "sqlite:/data/seckill.db"),
        ];
        for (url, masked) in cases {
            assert_eq!(masked_url(url), masked);
        }
    }
}
