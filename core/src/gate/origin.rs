//! Whether a request that changes something comes from a page of ours: a browser sends
//! a buyer's cookies with requests of other sites' pages too.

/// What a browser says of where a request comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Whence<'a> {
    /// The header `Origin`.
    pub origin: Option<&'a [u8]>,
    /// The header `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a [u8]>,
    /// The header `Host`.
    pub host: Option<&'a [u8]>,
}

impl Whence<'_> {
    /// Whether it comes from a page of this host, or of one of the `listed` origins.
    /// Programs that are no browsers say nothing, and hold no cookie that another site
    /// could use.
    #[must_use]
    pub fn is_ours(&self, listed: &[String]) -> bool {
        match self.origin {
            None => self
                .fetch_site
                .is_none_or(|site| matches!(site, b"same-origin" | b"none")),
            Some(origin) => {
                let authority = authority(origin);
                let is_this_host = authority.is_some()
                    && authority
                        .zip(self.host)
                        .is_some_and(|(ours, host)| ours.eq_ignore_ascii_case(host));
                is_this_host
                    || listed
                        .iter()
                        .any(|listed| listed.as_bytes().eq_ignore_ascii_case(origin))
            }
        }
    }
}

/// What follows the scheme of `https://shop.example.com:8443`.
fn authority(origin: &[u8]) -> Option<&[u8]> {
    let at = origin.windows(3).position(|three| three == b"://")?;
    Some(&origin[at + 3..]).filter(|authority| !authority.is_empty())
}

/// The origin of a URL, as browsers write it: `https://shop.example.com:8443`.
#[must_use]
pub fn of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest
        .split(['/', '?', '#'])
        .next()
        .filter(|it| !it.is_empty())?;
    Some(format!("{scheme}://{authority}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ours(origin: Option<&str>, site: Option<&str>) -> bool {
        let whence = Whence {
            origin: origin.map(str::as_bytes),
            fetch_site: site.map(str::as_bytes),
            host: Some(b"seckill.example.com:8443"),
        };
        whence.is_ours(&["https://mall.example.com".to_owned()])
    }

    #[test]
    fn pages_of_this_host_and_of_listed_names_are_ours() {
        for origin in [
            "https://seckill.example.com:8443",
            "http://SECKILL.example.com:8443",
            "https://mall.example.com",
        ] {
            assert!(is_ours(Some(origin), None), "{origin}");
        }
    }

    #[test]
    fn pages_of_others_are_not() {
        for origin in [
            "null",
            "",
            "https://",
            "https://evil.example",
            "https://seckill.example.com",
            "https://mall.example.com.evil.example",
            "http://mall.example.com",
            "https://mall.example.com:444",
        ] {
            assert!(!is_ours(Some(origin), Some("same-origin")), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(!is_ours(None, Some(site)), "{site}");
        }
        let no_host = Whence {
            origin: Some(b"https://"),
            ..Whence::default()
        };
        assert!(!no_host.is_ours(&[]));
    }

    #[test]
    fn what_is_no_browser_says_nothing() {
        assert!(is_ours(None, None) && is_ours(None, Some("none")));
        assert!(is_ours(None, Some("same-origin")));
    }

    #[test]
    fn the_origin_of_a_url_is_its_beginning() {
        let origin = of_url("https://Shop.example.com:8443/a?b#c");
        assert_eq!(origin.as_deref(), Some("https://shop.example.com:8443"));
        assert_eq!(of_url("shop"), None);
    }
}
