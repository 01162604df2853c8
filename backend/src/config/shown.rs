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

/// The URL with its password masked, in the authority and in the query.
#[must_use]
pub fn masked_url(url: &str) -> String {
    let (before_query, query) = match url.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (url, None),
    };
    let mut masked = masked_authority(before_query);
    if let Some(query) = query {
        let pairs: Vec<String> = query.split('&').map(masked_pair).collect();
        masked.push('?');
        masked.push_str(&pairs.join("&"));
    }
    masked
}

fn masked_authority(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // The last @ ends the credentials: a password may hold one itself.
    let Some((credentials, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = credentials.split_once(':').map_or("", |(user, _)| user);
    let only_user = !credentials.contains(':');
    if only_user {
        return format!("{scheme}://{credentials}@{host}");
    }
    format!("{scheme}://{user}:{MASK}@{host}")
}

fn masked_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if name.eq_ignore_ascii_case("pass") || name.contains("password") => {
            format!("{name}={MASK}")
        }
        _ => pair.to_owned(),
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
    fn no_password_survives_the_mask() {
        let cases = [
            ("redis://:s3cret@h:6379/0", "redis://:******@h:6379/0"),
            ("redis://li:s3c@ret@h:6379", "redis://li:******@h:6379"),
            (
                "unix:///run/r.sock?db=1&pass=s3cret",
                "unix:///run/r.sock?db=1&pass=******",
            ),
            ("redis://h:6379", "redis://h:6379"),
            ("sqlite:/data/seckill.db", "sqlite:/data/seckill.db"),
        ];
        for (url, masked) in cases {
            assert_eq!(masked_url(url), masked);
        }
    }
}
