//! Ports for servers of a test's own.

use std::net::TcpListener;
use std::ops::Range;

/// Below the ports that the system gives to clients and to whoever asks for any:
/// those would be taken again before the server listens.
const RANGE: Range<u16> = 12_000..32_000;

/// The first of `count` neighbours that nobody listens on now. A server that finds
/// one of them taken after all is to be started again on others.
pub fn free_row(count: u16) -> u16 {
    let last = RANGE.end - count;
    for _ in 0..1000 {
        let random = getrandom::u32().unwrap() % u32::from(last - RANGE.start);
        let first = RANGE.start + u16::try_from(random).unwrap();
        let row = first..first + count;
        if row
            .into_iter()
            .all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        {
            return first;
        }
    }
    panic!("there are no {count} free ports in a row");
}
