use axum::http::HeaderMap;

use super::*;

/// A notice of 2019 with its key, as published with the tests of Alipay's SDK for
/// Node.js.
const KEY: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqObrdC7hrgAVM98tK0nv3hSQRGGKT4lBsQjHiGjeYZjOPIPHR5knm2jnnz/YGIXIofVHkA/tAlBAd5DrY7YpvI4tP5EONLtZKC2ghBMx7McI2wRD0xiqzxOQr1FuhZGJ8/AUokBzJrzY+aGX2xcOrxFYRlFilvVLTXg4LWjR1tdPkO6+i7wQZAIVMClPkwVRZEbaERRHlKqTzv2gGv5rDU8gRoe1LeaN+6BlbTqHWkQcNCUNrA8C6l17XAXGKDsm/9TFWwO8EPHHHCaQdjtV5/FdcWIt+L8SR1ss7EXTjYDFtxcKVv9rEoY1lX8T4mX+GbXfZHraG5NCF1+XioL5JwIDAQAB";
const NOTICE: [(&str, &str); 25] = [
    ("gmt_create", "2019-08-15 15:56:22"),
    ("charset", "utf-8"),
    ("seller_email", "z97-yuquerevenue@service.aliyun.com"),
    ("subject", "语雀空间 500人规模"),
    (
        "sign",
        "QfTb8tqE1BMhS5qAnXtvsF3/jBkEvu9q9en0pdbBUDDjvKycZhQb7h8GDs4FKfi049PynaNuatxSgLb/nLWZpXyyh0LEWdK2S6Ri7nPwrVgOs08zugLO20vOQz44y3ti2Ncm8/wZts1Fr2gZ7pShnVX3d1B50hbsXnObT1r/U8ONNQjWXd0HIul4TG+Q3fm3svmSvFEy0WnzuhcyHPX5Gm4ELNctL6Qd5YniGJFNcc7kopHYtI/XD9YCKCH6Ct02rzUs9i11C9CsadtZn+WhxF26Dqt9sGEFajkJ8cxUTLi8+VCpLHsgPE8P0y095uQcDdK0YjCh4x7wVSov+lrmOQ==",
    ),
    ("buyer_id", "2088102534368455"),
    ("invoice_amount", "0.10"),
    ("notify_id", "2019081500222155624068450559358070"),
    (
        "fund_bill_list",
        r#"[{"amount":"0.10","fundChannel":"ALIPAYACCOUNT"}]"#,
    ),
    ("notify_type", "trade_status_sync"),
    ("trade_status", "TRADE_SUCCESS"),
    ("receipt_amount", "0.10"),
    ("buyer_pay_amount", "0.10"),
    ("sign_type", "RSA2"),
    ("app_id", "2019073166072302"),
    ("seller_id", "2088531891668739"),
    ("gmt_payment", "2019-08-15 15:56:24"),
    ("notify_time", "2019-08-15 15:56:25"),
    ("version", "1.0"),
    ("out_trade_no", "20190815155618536-564-57"),
    ("total_amount", "0.10"),
    ("trade_no", "2019081522001468450512505578"),
    ("auth_app_id", "2019073166072302"),
    ("buyer_logon_id", "xud***@126.com"),
    ("point_amount", "0.00"),
];

fn read(app_id: &str, pairs: &[(&str, &str)]) -> Result<Option<Notice>, NoticeError> {
    let application = Application {
        app_id: app_id.to_owned(),
        seller_id: Some("2088531891668739".to_owned()),
        key: crate::orders::payments::rsa::tests::new_key(),
        alipay_key: PublicKey::parse(KEY).unwrap(),
        page: Page::Page,
    };
    let alipay = Alipay::new("http://127.0.0.1:1", application, Site::new("http://s")).unwrap();
    alipay.read(&Received {
        headers: &HeaderMap::new(),
        body: form(pairs.iter().copied()).as_bytes(),
        now_ms: 0,
    })
}

#[test]
fn a_published_notice_is_genuine_and_read_exactly() {
    let notice = read("2019073166072302", &NOTICE).unwrap().unwrap();
    assert_eq!(notice.payment, "2019081522001468450512505578");
    assert_eq!(notice.order, "20190815155618536-564-57");
    assert_eq!(notice.amount, Money::new(10, Currency::CNY));
    assert_eq!(notice.reported, Reported::Paid);
    let foreign = read("2019073166072303", &NOTICE).unwrap_err();
    assert!(matches!(
        foreign,
        NoticeError::Foreign {
            field: "app_id",
            ..
        }
    ));
    for (at, (key, _)) in NOTICE.iter().enumerate() {
        let mut changed = NOTICE;
        changed[at].1 = "changed";
        let read = read("2019073166072302", &changed);
        assert_eq!(read.is_err(), *key != "sign_type", "{key}");
    }
}

#[test]
fn the_signed_part_of_a_reply_is_found_whatever_is_in_it() {
    let reply = r#"{ "a_response" : {"sign":"}","x":{"y":"\"}"}} ,"sign":"s"}"#;
    assert_eq!(
        node(reply, "a_response"),
        Some(r#"{"sign":"}","x":{"y":"\"}"}}"#)
    );
    assert_eq!(node(reply, "b_response"), None);
    assert_eq!(node(r#"{"a_response":{"x""#, "a_response"), None);
}

#[test]
fn times_are_those_of_beijing() {
    assert_eq!(beijing(1_795_406_953_580), "2026-11-23 12:09:13");
    assert_eq!(subject("手机/A&B=\n1"), "手机AB1");
}
