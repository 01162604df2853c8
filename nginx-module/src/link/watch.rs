//! Watches, while connected, whether the server is still the one that takes writes.

use std::time::Duration;

use seckill_core::redis::role::Role;

use super::{Link, open};
use crate::conf::Target;
use crate::rt;
use crate::state::Zone;

/// How often a server's role is read: a worker that only reads would not notice
/// that it has become a replica.
const PAUSE: Duration = Duration::from_millis(250);
/// One worker asks the Sentinels with every so manieth reading.
const SENTINEL_EVERY: u32 = 4;

/// Completes with the reason once another server takes writes.
pub(super) async fn watch(target: &Target, zone: &Zone, link: &Link) -> String {
    let mut connection = link.connection.clone();
    let switches = zone.switches();
    let mut tells_role = true;
    let mut turn = 0;
    loop {
        rt::sleep(PAUSE).await;
        if tells_role {
            match open::role(&mut connection).await {
                Ok(Role::Replica { of }) => {
                    return format!("it has become a replica of {of}");
                }
                Ok(role) => tells_role = role == Role::Master,
                // The supervisor notices a lost connection.
                Err(_) => {}
            }
        }
        let Some(name) = &target.spec.sentinel else {
            continue;
        };
        if zone.switches() != switches {
            return "the Sentinels name another master".to_owned();
        }
        turn += 1;
        if turn % SENTINEL_EVERY == 0
            && zone.claim_refresh()
            && let Ok(master) = open::named_by_sentinels(target, name).await
            && *master.to_string() != *link.server
        {
            zone.count_switch();
            return format!("the Sentinels name {master}");
        }
    }
}
