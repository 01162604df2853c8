//! TLS to Redis, and what an address says of it: `rediss://host:port/db?ca=FILE`, and the
//! same options behind the addresses of Sentinels and of a Cluster. They are named like
//! those of nginx's `seckill_redis`: `ca`, `cert`, `key`, `tls_name`.

use std::fs;

use seckill_tls::{SYSTEM_AUTHORITIES, TlsClient};

/// The options of an address; files are PEM.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// The authorities that are trusted; without it, those of this machine.
    ca: Option<String>,
    /// The certificate that is shown to the server.
    cert: Option<String>,
    /// The private key of `cert`.
    key: Option<String>,
    /// The host in the server's certificate, if it is not that of its address.
    tls_name: Option<String>,
}

impl Options {
    /// Splits the options off an address with TLS, and makes it one without: `redis` in
    /// place of `rediss`. `None` if it is without TLS already.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn split(url: &str) -> Result<Option<(String, Self)>, String> {
        let Some(rest) = url.strip_prefix("rediss") else {
            return Ok(None);
        };
        let url = format!("redis{rest}");
        let mut options = Self::default();
        if url.ends_with("#insecure") {
            return Err("\"#insecure\" is not supported; trust its authority by ?ca=FILE".into());
        }
        // A password may hold a question mark.
        let host = url.rfind('@').map_or(0, |at| at + 1);
        let Some(mark) = url[host..].find('?') else {
            return Ok(Some((url, options)));
        };
        // A plus sign of a path is no blank.
        let text = url[host + mark + 1..].replace('+', "%2B");
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let place = match &*name {
                "ca" => &mut options.ca,
                "cert" => &mut options.cert,
                "key" => &mut options.key,
                "tls_name" => &mut options.tls_name,
                _ => {
                    return Err(format!(
                        "\"{name}\" is none of its options, which are ca, cert, key and tls_name"
                    ));
                }
            };
            *place = Some(value.into_owned());
        }
        match options.cert.is_some() == options.key.is_some() {
            true => Ok(Some((url[..host + mark].to_owned(), options))),
            false => Err("cert and key belong together".to_owned()),
        }
    }

    /// Those that are given, with their values.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let options = [
            ("ca", &self.ca),
            ("cert", &self.cert),
            ("key", &self.key),
            ("tls_name", &self.tls_name),
        ];
        let options = options.into_iter();
        options.filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// What TLS is spoken with.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub(super) fn client(&self) -> Result<TlsClient, String> {
        let read = |name: &str, file: &str| {
            fs::read(file).map_err(|error| format!("{name}={file} cannot be read: {error}"))
        };
        let ca = read("ca", self.ca.as_deref().unwrap_or(SYSTEM_AUTHORITIES))?;
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((read("cert", cert)?, read("key", key)?)),
            _ => None,
        };
        let identity = identity.as_ref().map(|(cert, key)| (&cert[..], &key[..]));
        TlsClient::new(&ca, identity, self.tls_name.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_off_and_read_as_paths() {
        let url = "rediss://app:a?b@h:1/2?ca=/etc/my%20ca+1.pem&cert=c&key=k&tls_name=r";
        let (address, options) = Options::split(url).unwrap().unwrap();
        assert_eq!(address, "redis://app:a?b@h:1/2");
        let named = [
            ("ca", "/etc/my ca+1.pem"),
            ("cert", "c"),
            ("key", "k"),
            ("tls_name", "r"),
        ];
        assert_eq!(options.named().collect::<Vec<_>>(), named);
        let (address, options) = Options::split("rediss+sentinel://h/shop").unwrap().unwrap();
        assert_eq!(address, "redis+sentinel://h/shop");
        assert_eq!(options.named().count(), 0);
        for url in ["redis://h:1?ca=/c", "unix:///s?db=1"] {
            assert!(Options::split(url).unwrap().is_none(), "{url}");
        }
    }

    #[test]
    fn wrong_options_are_named() {
        for (text, named) in [
            ("?authority=/ca", "\"authority\" is none of"),
            ("?cert=/c", "belong together"),
            ("?key=/k", "belong together"),
            ("#insecure", "?ca=FILE"),
        ] {
            let error = Options::split(&format!("rediss://h:1{text}")).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
        let split = Options::split("rediss://h:1?ca=/no/such.pem").unwrap();
        let error = split.unwrap().1.client().map(|_| ()).unwrap_err();
        assert!(error.contains("ca=/no/such.pem cannot be read"), "{error}");
    }
}
