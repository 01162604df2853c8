//! What the address of a Redis says behind its question mark, by the names of nginx's
//! `seckill_redis`: how TLS is spoken, and the login at Sentinels, which is not that at
//! their master.

use seckill_tls::TlsClient;

use super::sentinel::SentinelLogin;
use super::tls::TlsOptions;
use crate::config::SENTINEL_SCHEME;

/// The options of an address.
#[derive(Default)]
pub(super) struct Options {
    /// The options of TLS, if the address has TLS.
    tls: Option<TlsOptions>,
    /// The login at the Sentinels, if the address names Sentinels.
    sentinel: Option<SentinelLogin>,
}

impl Options {
    /// Splits the options off an address, and makes it one without TLS: `redis` in place of
    /// `rediss`. An address that has none of ours is left as it is.
    ///
    /// # Errors
    /// What is wrong with them; never with a value, which may be a secret.
    pub(super) fn split(url: &str) -> Result<(String, Self), String> {
        let without_tls = url.strip_prefix("rediss");
        let url = without_tls.map_or_else(|| url.to_owned(), |rest| format!("redis{rest}"));
        let mut options = Self {
            tls: without_tls.map(|_| TlsOptions::default()),
            sentinel: url
                .starts_with(SENTINEL_SCHEME)
                .then(SentinelLogin::default),
        };
        if options.tls.is_none() && options.sentinel.is_none() {
            return Ok((url, options));
        }
        // A password may hold these signs.
        let host = url.rfind('@').map_or(0, |at| at + 1);
        let (address, text) = match url[host..].find('?') {
            Some(mark) => (&url[..host + mark], &url[host + mark + 1..]),
            None => (url.as_str(), ""),
        };
        if url.ends_with("#insecure") {
            return Err("\"#insecure\" is not supported; trust its authority by ?ca=FILE".into());
        }
        if address[host..].contains('#') {
            return Err("what follows \"#\" has no meaning; options follow a \"?\"".to_owned());
        }
        options.read(text)?;
        Ok((address.to_owned(), options))
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        // A plus sign of a path is no blank.
        let text = text.replace('+', "%2B");
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if value.is_empty() {
                return Err("an option has no value; write NAME=VALUE".to_owned());
            }
            let known = self.known();
            let place = self.place(&name).ok_or_else(|| {
                format!(
                    "\"{name}\" is none of its options, which are {}",
                    known.join(", ")
                )
            })?;
            *place = Some(value.into_owned());
        }
        if let Some(tls) = &self.tls {
            tls.check()?;
        }
        match &self.sentinel {
            Some(login) => login.check(),
            None => Ok(()),
        }
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        let tls = self.tls.as_mut().and_then(|tls| tls.place(name));
        let sentinel = self.sentinel.as_mut();
        tls.or_else(|| sentinel.and_then(|login| login.place(name)))
    }

    fn known(&self) -> Vec<&'static str> {
        let tls = self.tls.iter().flat_map(|_| TlsOptions::NAMES);
        tls.chain(self.sentinel.iter().flat_map(|_| SentinelLogin::NAMES))
            .collect()
    }

    /// What TLS is spoken with; `None` for an address without.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub(super) fn client(&self) -> Result<Option<TlsClient>, String> {
        self.tls.as_ref().map(TlsOptions::client).transpose()
    }

    /// The login at Sentinels.
    pub(super) fn sentinel(&self) -> Option<&SentinelLogin> {
        self.sentinel.as_ref()
    }

    /// Those of TLS that are given, with their values; `None` for an address without TLS.
    pub(super) fn tls(&self) -> Option<impl Iterator<Item = (&'static str, &str)>> {
        self.tls.as_ref().map(TlsOptions::named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The address without its options, and the options that are given.
    fn split(url: &str) -> (String, Vec<String>) {
        let (address, options) = Options::split(url).unwrap();
        let tls = options.tls().into_iter().flatten();
        let login = options
            .sentinel()
            .into_iter()
            .flat_map(SentinelLogin::named);
        let named = tls
            .chain(login)
            .map(|(name, value)| format!("{name}={value}"));
        (address, named.collect())
    }

    #[test]
    fn options_are_split_off_and_read_as_paths() {
        let url = "rediss://app:a?b@h:1/2?ca=/etc/my%20ca+1.pem&cert=c&key=k&tls_name=r";
        let (address, named) = split(url);
        assert_eq!(address, "redis://app:a?b@h:1/2");
        assert_eq!(
            named,
            ["ca=/etc/my ca+1.pem", "cert=c", "key=k", "tls_name=r"]
        );
        let login = "sentinel_user=app&sentinel_password=a%26b";
        let expected = ["sentinel_user=app", "sentinel_password=a&b"];
        let (address, named) = split(&format!("redis+sentinel://:m?#pw@h/shop?{login}"));
        assert_eq!(address, "redis+sentinel://:m?#pw@h/shop");
        assert_eq!(named, expected);
        let (address, named) = split(&format!("rediss+sentinel://h/shop?ca=/c&{login}"));
        assert_eq!(address, "redis+sentinel://h/shop");
        assert_eq!(named, [&["ca=/c"], &expected[..]].concat());
        for url in [
            "redis://h:1?ca=/c",
            "unix:///s?db=1",
            "redis+sentinel://h/shop",
        ] {
            assert_eq!(split(url), (url.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn wrong_options_are_named_and_no_value_is_shown() {
        let sentinel = "redis+sentinel://:s3cret@h/shop";
        for (url, named) in [
            ("rediss://h:1?authority=/s3cret", "\"authority\" is none of"),
            ("rediss://h:1?cert=/c", "belong together"),
            ("rediss://h:1?key=/k", "belong together"),
            ("rediss://h:1#insecure", "?ca=FILE"),
            (
                "rediss://h:1?sentinel_password=s3cret",
                "are ca, cert, key, tls_name",
            ),
            (
                &format!("{sentinel}?password=s3cret"),
                "\"password\" is none",
            ),
            (
                &format!("{sentinel}?ca=/c"),
                "are sentinel_user, sentinel_p",
            ),
            (&format!("{sentinel}?s3cret"), "has no value"),
            (&format!("{sentinel}#s3cret"), "follows \"#\""),
            (
                &format!("{sentinel}?sentinel_user=app"),
                "sentinel_password=",
            ),
            (
                &format!("{sentinel}?sentinel_password=s3cret&sentinel_password_file=/f"),
                "keep one",
            ),
        ] {
            let error = Options::split(url).err().unwrap();
            assert!(error.contains(named), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{url}: {error}");
        }
        let (_, options) = Options::split("rediss://h:1?ca=/no/such.pem").unwrap();
        let error = options.client().map(|_| ()).unwrap_err();
        assert!(error.contains("ca=/no/such.pem cannot be read"), "{error}");
    }
}
