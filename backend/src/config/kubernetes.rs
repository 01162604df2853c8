//! Variables that Kubernetes sets in every container for the services beside it.
//!
//! A service named "seckill" makes `SECKILL_PORT=tcp://10.0.0.1:8080`, and one named
//! "seckill-console" `SECKILL_CONSOLE_PORT=tcp://…`: names that are settings here. They
//! are ignored. The names are those of Docker's container
//! links, as "Accessing the Service" in Kubernetes' documentation describes them.

/// Whether Kubernetes, not a person, set this variable: `…_SERVICE_HOST`,
/// `…_SERVICE_PORT`, `…_SERVICE_PORT_HTTP`, `…_PORT_8080_TCP` and its siblings with
/// `_PROTO`, `_PORT` and `_ADDR`, or `…_PORT` with an address in place of a number.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let is_of_service = words
        .windows(2)
        .any(|two| matches!(two, ["SERVICE", "HOST" | "PORT"]));
    let is_of_port = words.windows(3).any(|three| {
        matches!(three, ["PORT", number, "TCP" | "UDP" | "SCTP"] if number.parse::<u16>().is_ok())
    });
    is_of_service || is_of_port || (name.ends_with("_PORT") && has_protocol(value))
}

fn has_protocol(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|protocol| value.starts_with(protocol))
}

/// What to say of variables that were ignored although they are named like settings;
/// `None` if there are none.
pub(super) fn warning(ignored: &[(String, String)]) -> Option<String> {
    let [(first, value), others @ ..] = ignored else {
        return None;
    };
    let mut names = format!("{first}={value}");
    for (name, value) in others {
        names.push_str(&format!(", {name}={value}"));
    }
    Some(format!(
        "{names} ignored: Kubernetes sets this for a service of that name; to set it all the same, \
         use the configuration file or a flag, or set enableServiceLinks: false in the pod"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_is_told_from_what_a_person_sets() {
        for (name, value) in [
            ("SECKILL_PORT", "tcp://10.0.0.1:8080"),
            ("SECKILL_CONSOLE_PORT", "udp://10.0.0.1:8081"),
            ("SECKILL_SERVICE_HOST", "10.0.0.1"),
            ("SECKILL_SERVICE_PORT", "8080"),
            ("SECKILL_SERVICE_PORT_HTTP", "8080"),
            ("SECKILL_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("SECKILL_PORT_8080_TCP_PROTO", "tcp"),
            ("SECKILL_PORT_8080_TCP_PORT", "8080"),
            ("SECKILL_OPS_PORT_9000_TCP_ADDR", "10.0.0.1"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("SECKILL_PORT", "8080"),
            ("SECKILL_PORT", "http://x"),
            ("SECKILL_REDIS_URL", "tcp://10.0.0.1:6379"),
            ("SECKILL_PROT", "8080"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }

    #[test]
    fn one_sentence_names_all_that_was_ignored() {
        assert_eq!(warning(&[]), None);
        let one = |name: &str| (name.to_owned(), "tcp://10.0.0.1:80".to_owned());
        let text = warning(&[one("SECKILL_PORT"), one("SECKILL_CONSOLE_PORT")]).unwrap();
        assert!(
            text.starts_with("SECKILL_PORT=tcp://10.0.0.1:80, SECKILL_CONSOLE_PORT=tcp://"),
            "{text}"
        );
    }
}
