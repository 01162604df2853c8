//! Arguments of `seckill_redis`: the servers, and how to log in to them.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

/// Where permits are kept (`seckill_redis`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisTarget {
    /// The servers, in the order of the file, at least one: those that may hold the
    /// data, or the Sentinels.
    pub addresses: Vec<Address>,
    /// The name under which the Sentinels watch the master; `None` where the
    /// addresses are the servers themselves.
    pub sentinel: Option<String>,
    /// How to log in to the server.
    pub login: Login,
    /// How to log in to the Sentinels.
    pub sentinel_login: Login,
    /// Database number.
    pub db: i64,
    /// How long a request may wait for a reply.
    pub timeout: Duration,
    /// TLS, for the server and the Sentinels.
    pub tls: Option<Tls>,
}

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A server at `host:port`.
    Tcp {
        /// A name or an IP address, without brackets.
        host: String,
        /// The port, at least 1.
        port: u16,
    },
    /// The path of `unix:/path`.
    Unix(String),
}

impl Address {
    /// Reads `host:port`, `[ipv6]:port` or `unix:/path`.
    ///
    /// # Errors
    /// A sentence that names the address and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.to_owned()))
            } else {
                Err(format!(
                    "socket path \"{path}\" must be absolute: unix:/run/redis.sock"
                ))
            };
        }
        let parts = text.rsplit_once(':');
        let host = parts.and_then(|(host, _)| host_of(host));
        let port = parts.and_then(|(_, port)| port.parse::<u16>().ok());
        match (host, port) {
            (Some(host), Some(port)) if port > 0 => Ok(Self::Tcp {
                host: host.to_owned(),
                port,
            }),
            _ => Err(wrong_address(text)),
        }
    }
}

/// A host without brackets; `None` if it is neither a name nor an IP address.
fn host_of(text: &str) -> Option<&str> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_v6 = |host: &str| {
        // Behind a % is the interface of a link-local address.
        let address = host.split('%').next();
        address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    match bare {
        Some(host) => is_v6(host).then_some(host),
        None if !text.is_empty() && text.bytes().all(is_plain) => Some(text),
        None => is_v6(text).then_some(text),
    }
}

/// Shows nothing before an `@`, where a password may be.
fn wrong_address(text: &str) -> String {
    let (is_login, shown) = match text.rsplit_once('@') {
        Some((_, behind)) => (true, behind),
        None => (false, text),
    };
    let cure = if is_login || text.contains("://") {
        "must be host:port alone, as in 127.0.0.1:6379, or unix:/path; what a URL says beside it is written as user=, password_file=, db= and tls=on"
    } else if text.contains(',') {
        "must be host:port, as in 127.0.0.1:6379, or unix:/path; several are written with spaces between them"
    } else {
        "must be host:port, as in 127.0.0.1:6379, or unix:/path"
    };
    format!("address \"{shown}\" {cure}")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// A user of Redis and their password.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// An ACL user; `None` for Redis's default user.
    pub user: Option<String>,
    /// The password, if one is needed.
    pub password: Option<Password>,
}

/// Where a password is.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// The password itself stands in the configuration.
    Text(String),
    /// In this file, less the newline at its end.
    File(String),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Files for TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificates of the authorities that are trusted; `None` for the system's.
    pub ca: Option<String>,
    /// This edge's certificate and its key, for a server that wants one.
    pub identity: Option<(String, String)>,
    /// The name in the server's certificate; `None` for the host in its address.
    pub name: Option<String>,
}

const KNOWN: &str = "known are user=, password=, password_file=, db=, timeout=, tls=on, ca=, cert=, key=, tls_name=, sentinel=, sentinel_user=, sentinel_password= and sentinel_password_file=";

/// The options as they were written.
#[derive(Default)]
struct Options<'a> {
    named: Vec<(&'a str, &'a str)>,
}

impl<'a> Options<'a> {
    fn add(&mut self, name: &'a str, value: &'a str) -> Result<(), String> {
        if self.named.iter().any(|(other, _)| *other == name) {
            return Err(format!("{name}= is given twice; remove one"));
        }
        if value.is_empty() {
            return Err(format!("{name}= needs a value"));
        }
        self.named.push((name, value));
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.named.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| *value)
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn login(&self, [user, text, file]: [&str; 3]) -> Result<Login, String> {
        let password = match (self.owned(text), self.owned(file)) {
            (Some(_), Some(_)) => {
                return Err(format!("has both {text}= and {file}=; remove one"));
            }
            (Some(text), None) => Some(Password::Text(text)),
            (None, Some(file)) => Some(Password::File(file)),
            (None, None) => None,
        };
        let login = Login {
            user: self.owned(user),
            password,
        };
        if login.user.is_some() && login.password.is_none() {
            return Err(format!(
                "{user}= needs {text}= or {file}=; a user without a password takes any"
            ));
        }
        Ok(login)
    }

    fn tls(&self) -> Result<Option<Tls>, String> {
        match self.get("tls") {
            Some("on") => {}
            None | Some("off") => {
                let alone = ["ca", "cert", "key", "tls_name"]
                    .into_iter()
                    .find(|name| self.get(name).is_some());
                return match alone {
                    Some(name) => Err(format!("{name}= has no effect without tls=on")),
                    None => Ok(None),
                };
            }
            Some(other) => return Err(format!("tls \"{other}\" must be on or off")),
        }
        let identity = match (self.owned("cert"), self.owned("key")) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err("cert= needs key=, the file with its key".to_owned()),
            (None, Some(_)) => return Err("key= needs cert=, its certificate".to_owned()),
        };
        Ok(Some(Tls {
            ca: self.owned("ca"),
            identity,
            name: self.owned("tls_name"),
        }))
    }
}

/// Whether an argument is a URL or a login with a host, in which any character may be.
fn is_url(arg: &str) -> bool {
    arg.contains("://") || arg.contains('@')
}

/// Reads the arguments of `seckill_redis`: addresses and options, in any order.
///
/// # Errors
/// A sentence that names the argument and what would be right.
pub fn redis(args: &[&str]) -> Result<RedisTarget, String> {
    let mut addresses = Vec::new();
    let mut options = Options::default();
    for arg in args {
        match arg.split_once('=') {
            Some((
                name @ ("user"
                | "password"
                | "password_file"
                | "db"
                | "timeout"
                | "tls"
                | "ca"
                | "cert"
                | "key"
                | "tls_name"
                | "sentinel"
                | "sentinel_user"
                | "sentinel_password"
                | "sentinel_password_file"),
                value,
            )) => options.add(name, value)?,
            // What stands behind it may be a secret.
            Some((name, _)) if !arg.starts_with("unix:") && !is_url(arg) => {
                return Err(format!("unknown argument \"{name}=\"; {KNOWN}"));
            }
            _ => addresses.push(Address::parse(arg)?),
        }
    }
    if addresses.is_empty() {
        return Err("needs an address: host:port or unix:/path".to_owned());
    }
    let tls = options.tls()?;
    let socket = addresses.iter().find(|a| matches!(a, Address::Unix(_)));
    if let (Some(socket), Some(_)) = (socket, &tls) {
        return Err(format!(
            "tls=on needs host:port; \"{socket}\" is a socket of this machine, where Redis speaks no TLS"
        ));
    }
    let sentinel_login = options.login([
        "sentinel_user",
        "sentinel_password",
        "sentinel_password_file",
    ])?;
    let sentinel = options.owned("sentinel");
    if sentinel.is_none() && sentinel_login != Login::default() {
        return Err("has a login for Sentinels, but no sentinel=, the master's name".to_owned());
    }
    Ok(RedisTarget {
        addresses,
        sentinel,
        login: options.login(["user", "password", "password_file"])?,
        sentinel_login,
        db: options.get("db").map_or(Ok(0), |value| {
            let number = value.parse().ok();
            number
                .filter(|db| (0..=1_000_000).contains(db))
                .ok_or_else(|| format!("db \"{value}\" must be a number from 0, as in db=2"))
        })?,
        timeout: options
            .get("timeout")
            .map_or(Ok(Duration::from_millis(50)), |value| {
                duration(value).ok_or_else(|| {
                    format!("timeout \"{value}\" must be 1ms to 60s, as in timeout=50ms")
                })
            })?,
        tls,
    })
}

/// Reads `50ms` or `2s`; `None` if it is neither or not within 1 ms to 60 s.
fn duration(text: &str) -> Option<Duration> {
    let ms = match text.strip_suffix("ms") {
        Some(number) => number.parse::<u64>().ok()?,
        None => text
            .strip_suffix('s')?
            .parse::<u64>()
            .ok()?
            .checked_mul(1_000)?,
    };
    (1..=60_000)
        .contains(&ms)
        .then(|| Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_target_is_read_whole() {
        let target = redis(&["unix:/run/r.sock", "password=x=y", "db=2", "timeout=2s"]).unwrap();
        assert_eq!(target.addresses, [Address::Unix("/run/r.sock".into())]);
        assert_eq!(target.login.password, Some(Password::Text("x=y".into())));
        assert_eq!((target.db, target.timeout), (2, Duration::from_secs(2)));
        let plain = redis(&["127.0.0.1:6379"]).unwrap();
        assert_eq!(plain.timeout, Duration::from_millis(50));
        assert_eq!((plain.tls, plain.sentinel), (None, None));
    }

    #[test]
    fn sentinels_tls_and_logins_are_read() {
        let target = redis(&[
            "s1:26379",
            "[fd00::2]:26379",
            "sentinel=shop",
            "user=edge",
            "password_file=/etc/seckill/redis",
            "sentinel_password=s",
            "tls=on",
            "ca=/etc/ca.pem",
            "cert=/etc/edge.pem",
            "key=/etc/edge.key",
            "tls_name=redis.internal",
        ])
        .unwrap();
        let shown: Vec<String> = target.addresses.iter().map(Address::to_string).collect();
        assert_eq!(shown, ["s1:26379", "[fd00::2]:26379"]);
        assert_eq!(target.sentinel.as_deref(), Some("shop"));
        assert_eq!(target.login.user.as_deref(), Some("edge"));
        assert_eq!(
            target.login.password,
            Some(Password::File("/etc/seckill/redis".into()))
        );
        let tls = target.tls.unwrap();
        assert_eq!(tls.name.as_deref(), Some("redis.internal"));
        assert_eq!(
            tls.identity,
            Some(("/etc/edge.pem".into(), "/etc/edge.key".into()))
        );
    }

    #[test]
    fn a_password_is_never_shown() {
        let target = redis(&["a:1", "password=hush"]).unwrap();
        assert!(!format!("{target:?}").contains("hush"));
    }

    #[test]
    fn a_faulty_argument_is_named_with_its_cure() {
        let cases: [(&[&str], &str); 22] = [
            (&[], "needs an address"),
            (&["redis"], "\"redis\" must be host:port"),
            (&["a:99999"], "must be host:port"),
            (&["a:1", "b"], "\"b\" must be host:port"),
            (&["unix:run"], "must be absolute"),
            (
                &["redis://:hu=sh@a:1"],
                "address \"a:1\" must be host:port alone",
            ),
            (&["redis://a:1"], "\"redis://a:1\" must be host:port alone"),
            (&["user:hush@a:1"], "password_file="),
            (&["a:1,b:1"], "several are written with spaces"),
            (&["[::1:6379"], "\"[::1:6379\" must be host:port"),
            (&["a:1", "passwd=hush"], "unknown argument \"passwd=\""),
            (&["a:1", "timeout=fast"], "timeout \"fast\" must be"),
            (
                &["a:1", "retries=3"],
                "unknown argument \"retries=\"; known are user=",
            ),
            (&["a:1", "db=1", "db=2"], "db= is given twice"),
            (&["a:1", "sentinel="], "sentinel= needs a value"),
            (
                &["a:1", "user=x"],
                "user= needs password= or password_file=",
            ),
            (
                &["a:1", "password=x", "password_file=/x"],
                "has both password= and password_file=",
            ),
            (&["a:1", "tls=maybe"], "tls \"maybe\" must be on or off"),
            (&["a:1", "ca=/x"], "ca= has no effect without tls=on"),
            (&["a:1", "tls=on", "cert=/x"], "cert= needs key="),
            (
                &["unix:/r", "tls=on"],
                "tls=on needs host:port; \"unix:/r\"",
            ),
            (&["a:1", "sentinel_password=x"], "no sentinel="),
        ];
        for (args, expected) in cases {
            let error = redis(args).unwrap_err();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
            assert!(
                !error.contains("sh@") && !error.contains("hush"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_ip_address() {
        for (text, shown) in [
            ("10.0.0.1:6379", "10.0.0.1:6379"),
            ("redis_1.shop-a.svc.:6379", "redis_1.shop-a.svc.:6379"),
            ("[::1]:6379", "[::1]:6379"),
            ("::1:6379", "[::1]:6379"),
            ("[fe80::1%eth0]:6379", "[fe80::1%eth0]:6379"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
        }
        for wrong in ["a b:1", "a/b:1", "[a]:1", "[::1]x:1", "a::1", "%:1"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
