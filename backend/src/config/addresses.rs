//! How the address of a Redis begins.

/// How the address of a single server begins.
pub(super) const REDIS_SCHEMES: [&str; 4] = ["redis://", "rediss://", "unix://", "redis+unix://"];
/// How the address of a master that Sentinels watch begins.
pub(super) const SENTINEL_SCHEMES: [&str; 2] = [SENTINEL_SCHEME, "rediss+sentinel://"];
/// How the address of a Redis Cluster begins; it may name any of its nodes.
pub(super) const CLUSTER_SCHEMES: [&str; 2] = ["redis+cluster://", "rediss+cluster://"];

/// How the address of a master that Sentinels watch begins, without TLS.
pub const SENTINEL_SCHEME: &str = "redis+sentinel://";

/// Whether an address is that of a master that Sentinels watch.
pub(super) fn is_of_sentinels(url: &str) -> bool {
    SENTINEL_SCHEMES
        .iter()
        .any(|scheme| url.starts_with(scheme))
}

/// A node of a Redis Cluster, as the address of a server; `None` if the address is of none.
#[must_use]
pub fn cluster_node(url: &str) -> Option<String> {
    let mut schemes = CLUSTER_SCHEMES.iter().zip(["redis", "rediss"]);
    schemes.find_map(|(scheme, server)| Some(format!("{server}://{}", url.strip_prefix(scheme)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_a_cluster_is_reached_as_the_cluster_is() {
        let node = |url| cluster_node(url).unwrap_or_default();
        assert_eq!(node("redis+cluster://h:1"), "redis://h:1");
        assert_eq!(node("rediss+cluster://h:1?ca=/c"), "rediss://h:1?ca=/c");
        assert_eq!(node("redis://h:1"), "");
        assert!(is_of_sentinels("rediss+sentinel://a,b/shop") && !is_of_sentinels("rediss://a"));
    }
}
