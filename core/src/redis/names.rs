//! Where host names are looked up: the system's files for that, as text.

use std::net::IpAddr;

/// `/etc/resolv.conf`, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvConf {
    /// The name servers.
    pub servers: Vec<IpAddr>,
    /// Domains that are appended to short names.
    pub search: Vec<String>,
    /// A name with this many dots is tried as it is first.
    pub ndots: usize,
}

impl ResolvConf {
    /// Reads the file's text. What it does not understand it leaves out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut this = Self {
            ndots: 1,
            ..Self::default()
        };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    this.servers
                        .extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
                }
                Some("search" | "domain") => this.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let ndots = words.find_map(|word| word.strip_prefix("ndots:"));
                    if let Some(ndots) = ndots.and_then(|number| number.parse().ok()) {
                        this.ndots = ndots;
                    }
                }
                _ => {}
            }
        }
        this
    }

    /// The full names that `host` may stand for, in the order in which the system
    /// tries them.
    ///
    /// With `search shop.svc`, `redis` is `redis.shop.svc`, then `redis`;
    /// `redis.example.com` is itself first. A name that ends in a dot is full.
    #[must_use]
    pub fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(full) = host.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{host}.{domain}"));
        let plain = std::iter::once(host.to_owned());
        if host.matches('.').count() >= self.ndots {
            plain.chain(searched).collect()
        } else {
            searched.chain(plain).collect()
        }
    }
}

/// The addresses of `host` in the text of `/etc/hosts`.
#[must_use]
pub fn in_hosts_file(text: &str, host: &str) -> Vec<IpAddr> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    lines
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|name| name.eq_ignore_ascii_case(host))
                .then_some(address)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_searched_in_the_domains_first() {
        let conf = ResolvConf::parse(
            "# by the container's runtime\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\nsearch shop.svc.cluster.local svc.cluster.local\noptions edns0 ndots:5\n",
        );
        assert_eq!(conf.servers, ["10.96.0.10".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            conf.candidates("redis"),
            [
                "redis.shop.svc.cluster.local",
                "redis.svc.cluster.local",
                "redis"
            ]
        );
        assert_eq!(conf.candidates("redis.example.com."), ["redis.example.com"]);
        let plain = ResolvConf::parse("nameserver 127.0.0.53\nsearch home");
        assert_eq!(
            plain.candidates("redis.example.com"),
            ["redis.example.com", "redis.example.com.home"]
        );
        assert_eq!(ResolvConf::parse("").candidates("redis"), ["redis"]);
    }

    #[test]
    fn the_hosts_file_gives_all_addresses_of_a_name() {
        let text = "127.0.0.1 localhost # us\n::1 localhost ip6-localhost\n10.0.0.7\tredis Redis.internal\nnonsense redis\n";
        let found = |host| {
            let addresses = in_hosts_file(text, host);
            let shown: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            shown.join(" ")
        };
        assert_eq!(found("localhost"), "127.0.0.1 ::1");
        assert_eq!(found("redis.internal"), "10.0.0.7");
        assert_eq!(found("us"), "");
    }
}
