//! Sale files that the console imports, by what they are written in.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::rounds::{form, three};

#[tokio::test]
async fn a_sale_file_is_read_in_its_encoding_and_refused_where_it_is_no_text() {
    let (console, li, ..) = three().await;
    let import = async |bytes: Vec<u8>| {
        let import = console.request(Method::POST, "/ops/api/rounds/import");
        import.of(&li).bytes(bytes).send().await
    };
    let sale = |title: &str| {
        format!(
            "[[round]]\nid = \"1\"\nname = \"Noon\"\nstarts = \"+1h\"\nends = \"+1h\"\n\
             [[round.product]]\nid = \"1\"\ntitle = \"{title}\"\namount = 1\nprice_cents = 1\n"
        )
    };
    // "手机" in GBK.
    let (before, after) = ("手机", b"\xca\xd6\xbb\xfa");
    let text = sale(before);
    let (head, tail) = text.split_once(before).unwrap();
    let gbk = [head.as_bytes(), after, tail.as_bytes()].concat();
    let cases = [
        (gbk, "file_no_text", format!("byte {}", head.len() + 1)),
        (
            b"PK\x03\x04".to_vec(),
            "file_kind",
            "a spreadsheet".to_owned(),
        ),
        (
            b"id,title\n1,Phone\n".to_vec(),
            "file_kind",
            "CSV".to_owned(),
        ),
        (
            sale("a\u{fffd}b").into_bytes(),
            "garbled",
            "U+FFFD".to_owned(),
        ),
    ];
    for (bytes, code, said) in cases {
        let refused = import(bytes).await;
        let mistake = &refused.body["mistakes"][0];
        assert_eq!(
            (refused.status, &mistake["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(code)),
            "{}",
            refused.body
        );
        let message = mistake["message"].as_str().unwrap();
        assert!(message.contains(&said), "{message}");
    }
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(units).collect();
    let imported = import(utf16).await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.body);
    let round = console.get(&li, "/ops/api/rounds/1").await.body;
    assert_eq!(round["products"][0]["title"], before);
    let mut garbled = form("153");
    garbled["products"][0]["title"] = json!("a\u{fffe}b");
    let refused = console.post(&li, "/ops/api/rounds", &garbled).await;
    assert_eq!(refused.body["mistakes"][0]["code"], "garbled");
}
