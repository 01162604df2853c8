//! An edge as the others know it: its line in the set of living edges.
//!
//! A name alone does not tell two edges apart: it is copied with a configuration, and
//! during a binary upgrade the old and the new nginx have the same. Each zone of
//! shared memory therefore draws a random identity, which is part of the line and of
//! every lease id.

use std::fmt;

use crate::permits::permit::is_part;

/// One edge: `{node}.{identity}.{room}.{host}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeLine {
    /// The name that its operator gave it (`seckill_node`), or one made of its
    /// identity.
    pub node: String,
    /// Random, and the same for the life of its zone.
    pub identity: u64,
    /// Products that its zone is made for.
    pub room: u64,
    /// The name of its machine, for operators.
    pub host: String,
}

impl EdgeLine {
    /// Reads a line; `None` for one of another form, as an earlier version wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '.');
        let (node, identity) = (parts.next()?, parts.next()?);
        let (room, host) = (parts.next()?, parts.next()?);
        Some(Self {
            node: is_part(node).then(|| node.to_owned())?,
            identity: u64::from_str_radix(identity, 16).ok()?,
            room: room.parse().ok()?,
            host: host.to_owned(),
        })
    }

    /// What the lines of all edges of this name begin with.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}.", self.node)
    }

    /// The edge for people: its name, its identity, and where it runs.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}.{:x} on {}", self.node, self.identity, self.host)
    }
}

impl fmt::Display for EdgeLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            identity,
            room,
            host,
        } = self;
        write!(f, "{node}.{identity:x}.{room}.{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_whatever_the_host_is_called() {
        let line = EdgeLine {
            node: "edge-1".into(),
            identity: 0xfeed_0000_0000_0001,
            room: 10_014,
            host: "web7.shop.internal".into(),
        };
        assert_eq!(
            line.to_string(),
            "edge-1.feed000000000001.10014.web7.shop.internal"
        );
        assert_eq!(EdgeLine::parse(&line.to_string()), Some(line.clone()));
        assert_eq!(
            line.shown(),
            "edge-1.feed000000000001 on web7.shop.internal"
        );
        assert!(line.to_string().starts_with(&line.prefix()));
        assert_eq!(EdgeLine::parse("edge-1"), None);
        assert_eq!(EdgeLine::parse("edge-1.x.1.h"), None);
    }
}
