//! Which of Redis Cluster's slots a key lives in (Redis Cluster specification,
//! "Key distribution model" and "Hash tags").

/// How many slots a cluster has.
pub const SLOTS: u16 = 16_384;

/// The slot of `key`: CRC16 of its hash tag, or of all of it if it has none.
///
/// The tag stands between the first `{` and the next `}`, if there is anything
/// between them: `seckill::{1::153::01}::stock` and `…::buyers` share one.
#[must_use]
pub fn slot_of(key: &str) -> u16 {
    crc16(tag_of(key).as_bytes()) % SLOTS
}

fn tag_of(key: &str) -> &str {
    key.split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty())
        .unwrap_or(key)
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, beginning with 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Item;
    use crate::keys;

    #[test]
    fn slots_are_those_that_redis_computes() {
        // The check value of the specification, and what CLUSTER KEYSLOT says.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of("user{foo}:1"), 12_182);
        assert_eq!(slot_of("{}foo"), slot_of("{}foo"));
        assert_ne!(slot_of("{}foo"), slot_of("{}bar"));
    }

    #[test]
    fn the_keys_of_a_segment_share_a_slot() {
        let item = Item::new("1", "153").unwrap();
        let stock = slot_of(&keys::stock(&item, 1));
        assert_eq!(slot_of(&keys::buyers(&item, 1)), stock);
        assert_eq!(slot_of(&keys::outbox(&item, 1)), stock);
        assert_eq!(slot_of(&keys::spent(&item, 1)), stock);
        assert_ne!(slot_of(&keys::stock(&item, 2)), stock);
    }
}
