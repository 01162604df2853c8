//! The characters of files that people write: encodings, byte order marks, line ends.

use std::borrow::Cow;

/// What some editors put before the first character of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of a file: UTF-8, or UTF-16 with a byte order mark, as spreadsheets and some
/// editors write it.
///
/// # Errors
/// A sentence that says where it is no text, and what to do.
pub fn text_of(bytes: &[u8]) -> Result<String, String> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        bytes => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(format!(
                "byte {} is no UTF-8; save the file in the encoding UTF-8",
                error.valid_up_to() + 1
            )),
        },
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let wrong = || "it begins like UTF-16, and is none; save it in UTF-8".to_owned();
    let (pairs, []) = bytes.as_chunks::<2>() else {
        return Err(wrong());
    };
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16(&units).map_err(|_| wrong())
}

/// A text without a byte order mark, and with one kind of line ends that are no others'.
/// Every character keeps its line.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_the_same_in_every_encoding_and_with_every_line_end() {
        let text = "[[round]]\nname = \"午间\"\n";
        let utf16 = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let units = text.encode_utf16().flat_map(bytes);
            mark.into_iter().chain(units).collect()
        };
        let files = [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            text.replace('\n', "\r\n").into_bytes(),
            text.replace('\n', "\r").into_bytes(),
            utf16([0xff, 0xfe], u16::to_le_bytes),
            utf16([0xfe, 0xff], u16::to_be_bytes),
        ];
        for file in files {
            assert_eq!(plain(&text_of(&file).unwrap()), text);
        }
        assert!(text_of(b"a\xffb").unwrap_err().contains("byte 2"));
        assert!(text_of(b"\xff\xfe1").unwrap_err().contains("UTF-16"));
    }
}
