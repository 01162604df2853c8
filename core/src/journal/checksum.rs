//! CRC-32C (Castagnoli), as iSCSI and ext4 use it: RFC 3720, appendix B.4.

/// For each byte, the remainder of that byte followed by three zero bytes, reflected.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = match rest & 1 {
                1 => (rest >> 1) ^ 0x82f6_3b78,
                _ => rest >> 1,
            };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

/// The checksum of these texts, one after the other.
pub(super) fn crc32c(texts: &[&[u8]]) -> u32 {
    let bytes = texts.iter().flat_map(|text| text.iter());
    !bytes.fold(!0_u32, |rest, byte| {
        TABLE[usize::from((rest as u8) ^ byte)] ^ (rest >> 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_of_the_rfc() {
        assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
        assert_eq!(crc32c(&[b"1234", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(crc32c(&[&[0xff; 32]]), 0x62a8_ab43);
    }
}
