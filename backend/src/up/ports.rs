//! Finds out before anything is started whether the ports can be had, and if not,
//! why.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use super::UpError;
use crate::config::{Config, Listen};

/// An address that a part is to listen on.
struct Wanted {
    /// The part.
    part: &'static str,
    address: SocketAddr,
    /// The variable that moves it.
    variable: &'static str,
    /// nginx, not this process, is to listen there.
    by_nginx: bool,
}

/// Checks every TCP address on which something is to listen.
///
/// # Errors
/// [`UpError::PortShared`] for two settings that name one; [`UpError::PortTaken`],
/// [`UpError::PortForbidden`] or [`UpError::NoSuchAddress`] for the first that cannot be had.
pub(super) fn check(config: &Config, with_edge: bool) -> Result<(), UpError> {
    let wanted = wanted(config, with_edge);
    shared(&wanted)?;
    wanted.iter().try_for_each(try_one)
}

/// Refuses two parts on one port. Each finds it free, and of both only one gets it.
fn shared(wanted: &[Wanted]) -> Result<(), UpError> {
    let collide = |a: &Wanted, b: &Wanted| {
        a.variable != b.variable && a.address.port() != 0 && collide(a.address, b.address)
    };
    for (at, b) in wanted.iter().enumerate() {
        if let Some(a) = wanted[..at].iter().find(|a| collide(a, b)) {
            return Err(UpError::PortShared {
                port: b.address.port(),
                a: a.part,
                variable_a: a.variable,
                b: b.part,
                variable_b: b.variable,
            });
        }
    }
    Ok(())
}

fn wanted(config: &Config, with_edge: bool) -> Vec<Wanted> {
    let mut all = Vec::new();
    if with_edge {
        let edge = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let console = match config.console_address {
            Some(address) => vec![address],
            None => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        };
        let edge = edge.map(|address| ("the edge", address, config.port, "SECKILL_PORT"));
        let console = console.into_iter().map(|address| {
            let port = config.console_port;
            ("the console", address, port, "SECKILL_CONSOLE_PORT")
        });
        for (part, address, port, variable) in edge.into_iter().chain(console) {
            all.push(Wanted {
                part,
                address: SocketAddr::new(address, port),
                variable,
                by_nginx: true,
            });
        }
    }
    let mut own = |part, address, variable| {
        all.push(Wanted {
            part,
            address,
            variable,
            by_nginx: false,
        });
    };
    if config.redis_port != 0 && !config.redis_is_external {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.redis_port));
        own("redis-server", address, "SECKILL_REDIS_PORT");
    }
    for (part, listen, variable) in [
        (
            "the purchase role",
            &config.purchase_listen,
            "SECKILL_PURCHASE_LISTEN",
        ),
        ("the ops role", &config.ops_listen, "SECKILL_OPS_LISTEN"),
    ] {
        if let Listen::Tcp(address) = listen {
            own(part, *address, variable);
        }
    }
    all
}

fn try_one(wanted: &Wanted) -> Result<(), UpError> {
    let Err(error) = TcpListener::bind(wanted.address) else {
        return Ok(());
    };
    let &Wanted {
        part,
        address,
        variable,
        by_nginx,
    } = wanted;
    match error.kind() {
        ErrorKind::AddrInUse => Err(UpError::PortTaken {
            port: address.port(),
            by: who_has(part, address),
            variable,
        }),
        // The executable of nginx may have a capability that this process lacks;
        // nginx finds out when it checks its configuration.
        ErrorKind::PermissionDenied if by_nginx => Ok(()),
        ErrorKind::PermissionDenied => Err(UpError::PortForbidden {
            port: address.port(),
            part,
            variable,
        }),
        ErrorKind::AddrNotAvailable if address.is_ipv6() && address.ip().is_loopback() => Ok(()),
        ErrorKind::AddrNotAvailable => Err(UpError::NoSuchAddress {
            part,
            address,
            variable: match part {
                "the console" => "SECKILL_CONSOLE_ADDRESS",
                _ => variable,
            },
        }),
        // No IPv6, or something that the part itself can say better.
        _ => Ok(()),
    }
}

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listener {
    address: SocketAddr,
    inode: u64,
}

impl Listener {
    /// Whether nobody else can listen on `wanted` because of it.
    fn collides(self, wanted: SocketAddr) -> bool {
        collide(self.address, wanted)
    }
}

/// Whether two cannot listen on these at a time.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let (port, (a, b)) = (a.port() == b.port(), (a.ip(), b.ip()));
    // One on [::] usually takes IPv4 too; one on 0.0.0.0 takes no IPv6.
    let every = |ip: IpAddr, of: IpAddr| {
        ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) || (ip.is_unspecified() && of.is_ipv4())
    };
    port && (a == b || every(a, b) || every(b, a))
}

/// Who has the port that `part` wants, in words.
fn who_has(part: &str, wanted: SocketAddr) -> String {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let text = tables.map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let found = text
        .iter()
        .flat_map(|text| listeners(text))
        .find(|it| it.collides(wanted));
    match found {
        Some(listener) => in_words(part, wanted, listener.address, owner(listener.inode)),
        None => "another program".to_owned(),
    }
}

fn in_words(
    part: &str,
    wanted: SocketAddr,
    taken: SocketAddr,
    owner: Option<(i32, String)>,
) -> String {
    let who = match owner {
        Some((pid, name)) => format!("{name} (process {pid})"),
        None => "another program".to_owned(),
    };
    let why = match (wanted.ip().is_unspecified(), taken.ip().is_unspecified()) {
        (true, false) => format!(", and {part} needs it on every address of this machine"),
        (false, true) => {
            format!(", which takes every address of this machine; {part} needs {wanted}")
        }
        _ => String::new(),
    };
    format!("{who}, which listens on {taken}{why}")
}

/// The listening sockets of a table such as `/proc/net/tcp`.
fn listeners(table: &str) -> Vec<Listener> {
    const LISTENS: &str = "0A";
    let read = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = *fields.get(3)? == LISTENS;
        let address = socket_address(fields.get(1)?)?;
        let inode = fields.get(9)?.parse().ok()?;
        listens.then_some(Listener { address, inode })
    };
    table.lines().skip(1).filter_map(read).collect()
}

/// An address as the kernel writes it: words of 32 bits as they lie in memory, and
/// the port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<[u8; 4]>> = (0..ip.len())
        .step_by(8)
        .map(|at| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok())
        .map(|word| word.map(u32::to_ne_bytes))
        .collect();
    let bytes = words?.concat();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::from(four),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).to_canonical(),
    };
    Some(SocketAddr::new(ip, port))
}

/// The process that has this socket, and its name, if we may know: other users'
/// processes do not show their files.
fn owner(inode: u64) -> Option<(i32, String)> {
    let socket = format!("socket:[{inode}]");
    let has_it = |process: &Path| {
        let files = std::fs::read_dir(process.join("fd")).into_iter().flatten();
        files
            .flatten()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&socket)))
    };
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .find_map(|entry| {
            let process = entry.path();
            let pid = process.file_name()?.to_str()?.parse().ok()?;
            let name = has_it(&process).then(|| std::fs::read_to_string(process.join("comm")))?;
            Some((pid, name.ok()?.trim().to_owned()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_kernels_table_of_sockets_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n\
            1: 0100007F:1F91 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1\n\
            2: 0000000000000000FFFF00000500000A:0050 0:0 0A 0:0 0:0 0 0 0 4713 1 0\n\
            3: 00000000000000000000000001000000:1F90 0:0 0A 0:0 0:0 0 0 0 4714 1 0\n";
        let read: Vec<_> = listeners(table)
            .iter()
            .map(|it| (it.address.to_string(), it.inode))
            .collect();
        let expected = [
            ("127.0.0.1:8080".to_owned(), 4711),
            ("10.0.0.5:80".to_owned(), 4713),
            ("[::1]:8080".to_owned(), 4714),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn sockets_collide_on_the_same_address_or_on_all_of_them() {
        let cases = [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("10.0.0.5:80", "127.0.0.1:80", false),
            ("0.0.0.0:80", "[::1]:80", false),
        ];
        for (taken, wanted, expected) in cases {
            let taken = Listener {
                address: address(taken),
                inode: 1,
            };
            assert_eq!(
                taken.collides(address(wanted)),
                expected,
                "{taken:?} {wanted}"
            );
        }
    }

    #[test]
    fn two_settings_of_one_port_are_named_both() {
        let wanted = |part, text, variable| Wanted {
            part,
            address: address(text),
            variable,
            by_nginx: true,
        };
        let edge = || wanted("the edge", "0.0.0.0:8080", "SECKILL_PORT");
        let edge_v6 = || wanted("the edge", "[::]:8080", "SECKILL_PORT");
        let cases = [
            ("the console", "127.0.0.1:8080", "SECKILL_CONSOLE_PORT"),
            ("redis-server", "127.0.0.1:8080", "SECKILL_REDIS_PORT"),
            ("the ops role", "10.0.0.5:8080", "SECKILL_OPS_LISTEN"),
        ];
        for (part, text, variable) in cases {
            let all = [edge(), edge_v6(), wanted(part, text, variable)];
            let said = shared(&all).unwrap_err().to_string();
            let start =
                format!("the edge and {part} cannot share port 8080: SECKILL_PORT and {variable}");
            assert!(said.starts_with(&start), "{said}");
        }
        let apart = wanted("the console", "127.0.0.1:8081", "SECKILL_CONSOLE_PORT");
        assert!(shared(&[edge(), edge_v6(), apart]).is_ok());
        let by_the_kernel = || wanted("the ops role", "127.0.0.1:0", "SECKILL_OPS_LISTEN");
        let other = wanted(
            "the purchase role",
            "127.0.0.1:0",
            "SECKILL_PURCHASE_LISTEN",
        );
        assert!(shared(&[by_the_kernel(), other]).is_ok());
    }

    #[test]
    fn whoever_has_the_port_is_named_with_the_reason_of_the_collision() {
        let (all, local) = (address("0.0.0.0:80"), address("127.0.0.1:80"));
        let python = Some((7, "python3".to_owned()));
        assert_eq!(
            in_words("the edge", all, local, python.clone()),
            "python3 (process 7), which listens on 127.0.0.1:80, and the edge needs it on every \
             address of this machine"
        );
        assert_eq!(
            in_words("the console", local, all, None),
            "another program, which listens on 0.0.0.0:80, which takes every address of this \
             machine; the console needs 127.0.0.1:80"
        );
        assert_eq!(
            in_words("the edge", all, all, python),
            "python3 (process 7), which listens on 0.0.0.0:80"
        );
    }

    #[test]
    fn our_own_listener_is_found_with_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let text = who_has("the edge", (Ipv4Addr::UNSPECIFIED, address.port()).into());
        let pid = std::process::id();
        assert!(text.contains(&format!("(process {pid})")), "{text}");
        assert!(text.contains(&address.to_string()), "{text}");
    }
}
