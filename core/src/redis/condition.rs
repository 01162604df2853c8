//! What an error reply means for the connection it came by.
//!
//! A server that replies is not yet one that can be worked with: it may have become
//! a replica, be loading its file, have no memory left. All of that is *away* for
//! those who wait for a permit. It differs in what helps: another server, or time.

/// What a reply's error code says of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is the wrong server, or not ready, or does not know this connection any
    /// more: connect anew, to whichever server takes writes.
    Unfit,
    /// The right server refuses to work for now, as without memory or disk: keep the
    /// connection and try again.
    Refusing,
    /// It has forgotten the scripts: load them again, by connecting anew.
    Forgotten,
    /// The server works; this command failed, as by a key of another type.
    Working,
}

impl Condition {
    /// Reads an error reply: its code (`READONLY`), and the text after the code.
    ///
    /// Redis before version 7 wraps an error inside a script as `ERR Error running
    /// script … -READONLY …`; that means the same.
    #[must_use]
    pub fn of(code: &str, detail: &str) -> Self {
        match code {
            "READONLY" | "LOADING" | "MASTERDOWN" | "NOAUTH" | "WRONGPASS" | "MOVED" | "ASK" => {
                Self::Unfit
            }
            "OOM" | "MISCONF" | "NOREPLICAS" | "CLUSTERDOWN" | "BUSY" | "TRYAGAIN" => {
                Self::Refusing
            }
            "NOSCRIPT" => Self::Forgotten,
            "ERR" if detail.contains("Error running script") => {
                let words = detail.split_ascii_whitespace();
                let inner = words.filter_map(|word| word.strip_prefix('-'));
                inner
                    .map(|code| Self::of(code, ""))
                    .find(|condition| *condition != Self::Working)
                    .unwrap_or(Self::Working)
            }
            _ => Self::Working,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_of_a_server_that_cannot_be_worked_with_has_its_cure() {
        for (reply, condition) in [
            (
                "READONLY You can't write against a read only replica.",
                Condition::Unfit,
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                Condition::Unfit,
            ),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                Condition::Unfit,
            ),
            ("NOAUTH Authentication required.", Condition::Unfit),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Condition::Refusing,
            ),
            (
                "MISCONF Errors writing to the AOF file: No space left on device",
                Condition::Refusing,
            ),
            (
                "NOREPLICAS Not enough good replicas to write.",
                Condition::Refusing,
            ),
            ("CLUSTERDOWN The cluster is down", Condition::Refusing),
            ("BUSY Redis is busy running a script.", Condition::Refusing),
            ("NOSCRIPT No matching script.", Condition::Forgotten),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value",
                Condition::Working,
            ),
            ("NOLIMIT the item is not on sale", Condition::Working),
            ("ERR unknown command 'ROLE'", Condition::Working),
            (
                "ERR Error running script (call to f_1): @user_script:9: -READONLY You can't write against a read only replica.",
                Condition::Unfit,
            ),
            (
                "ERR Error running script (call to f_1): @user_script:9: -OOM command not allowed when used memory > 'maxmemory'.",
                Condition::Refusing,
            ),
            (
                "ERR Error running script (call to f_1): @user_script:9: -WRONGTYPE Operation against a key",
                Condition::Working,
            ),
        ] {
            let (code, detail) = reply.split_once(' ').unwrap();
            assert_eq!(Condition::of(code, detail), condition, "{reply}");
        }
    }
}
