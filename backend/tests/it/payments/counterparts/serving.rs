//! The servers of the payment providers: each verifies what it is sent, and replies in the
//! provider's recorded format.

use std::collections::{BTreeMap, HashMap};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use seckill::orders::payments::rsa::{PrivateKey, PublicKey};
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::payment;
use seckill_core::orders::payment::ProviderName;
use serde_json::{Value, json};

use super::{
    OURS, Records, Says, Shared, Status, THEIRS, alipay_trade, signed_body, wechat_signature,
    wechat_transaction,
};
use crate::common::{now_ms, payment_ring};

pub(super) async fn serve(
    State((name, records)): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let path = uri.path_and_query().unwrap().to_string();
    let mut records = records.lock().unwrap();
    records
        .calls
        .push((method.to_string(), path.clone(), body.clone()));
    let header = |name: &str| headers.get(name).map_or("", |it| it.to_str().unwrap());
    match name {
        ProviderName::Signed | ProviderName::Shop => {
            let signed = if body.is_empty() { &path } else { &body };
            let signature = header("x-seckill-signature");
            payment::verify(&payment_ring(), signature, signed.as_bytes(), now_ms()).unwrap();
            signed_reply(&mut records, &path, &body)
        }
        ProviderName::Stripe => {
            assert_eq!(header("authorization"), "Bearer sk_test_1");
            stripe_reply(&mut records, &method, &path, &body)
        }
        ProviderName::Alipay => alipay_reply(&mut records, &body),
        ProviderName::WeChat => {
            let given = header("authorization");
            let part = |name: &str| {
                let (_, rest) = given.split_once(&format!("{name}=\"")).unwrap();
                rest.split_once('"').unwrap().0.to_owned()
            };
            let (at, nonce) = (part("timestamp"), part("nonce_str"));
            let text = format!("{method}\n{path}\n{at}\n{nonce}\n{body}\n");
            let ours = PublicKey::parse(&OURS.1).unwrap();
            assert!(
                ours.verifies(text.as_bytes(), &part("signature")),
                "{given}"
            );
            wechat_reply(&mut records, &method, &path, &body)
        }
    }
}

fn asked<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .into_iter()
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn signed_reply(records: &mut Records, path: &str, body: &str) -> Response {
    if path == "/refunds" {
        let body: Value = serde_json::from_str(body).unwrap();
        note_refund(records, &body["refund"], &body["amount_cents"]);
        return json!({ "status": "refunded" }).to_string().into_response();
    }
    let order = asked(path, "order");
    let known = records.known.values();
    let found = known.filter(|it| order.is_none_or(|order| it.order == order));
    let payments: Vec<Value> = found.map(signed_body).collect();
    json!({ "payments": payments }).to_string().into_response()
}

fn note_refund(records: &mut Records, key: &Value, cents: &Value) {
    let key = key.as_str().unwrap().to_owned();
    if records.refunds.iter().all(|(known, _)| *known != key) {
        records.refunds.push((key, cents.as_u64().unwrap()));
    }
}

fn stripe_intent(says: &Says) -> Value {
    let refunded = match says.status {
        Status::Refunded(part) => part,
        _ => 0,
    };
    json!({
        "id": says.payment, "object": "payment_intent",
        "status": if says.status == Status::Failed { "requires_payment_method" } else { "succeeded" },
        "amount_received": says.amount.minor,
        "currency": says.amount.currency.as_str().to_ascii_lowercase(),
        "metadata": { "order": says.order },
        "latest_charge": { "amount_refunded": refunded },
    })
}

fn stripe_reply(records: &mut Records, method: &Method, path: &str, body: &str) -> Response {
    let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let reply = if path.starts_with("/v1/payment_intents") {
        // Pages of one, so that they have to be turned.
        let mut all: Vec<&Says> = records.known.values().collect();
        all.sort_by(|a, b| a.payment.cmp(&b.payment));
        let after = asked(path, "starting_after").unwrap_or("");
        let mut rest = all.into_iter().filter(|it| it.payment.as_str() > after);
        let page: Vec<Value> = rest.next().map(stripe_intent).into_iter().collect();
        json!({ "data": page, "has_more": rest.next().is_some() })
    } else if path == "/v1/refunds" {
        let cents: u64 = form["amount"].parse().unwrap();
        note_refund(
            records,
            &form["payment_intent"].as_str().into(),
            &cents.into(),
        );
        json!({ "id": "re_1", "status": "succeeded" })
    } else if method == Method::POST {
        let order = &form["client_reference_id"];
        json!({ "id": format!("cs_{order}"), "url": format!("https://checkout.example/{order}") })
    } else {
        let order = path
            .split(['/', '?'])
            .nth(4)
            .unwrap()
            .trim_start_matches("cs_");
        json!({ "payment_intent": records.known.get(order).map(stripe_intent) })
    };
    reply.to_string().into_response()
}

fn alipay_reply(records: &mut Records, body: &str) -> Response {
    let mut form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let sign = form.remove("sign").unwrap();
    let pairs: Vec<String> = form
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let ours = PublicKey::parse(&OURS.1).unwrap();
    assert!(ours.verifies(pairs.join("&").as_bytes(), &sign), "{body}");
    let content: Value = serde_json::from_str(&form["biz_content"]).unwrap();
    let reply = match form["method"].as_str() {
        "alipay.trade.query" => {
            match records.known.get(content["out_trade_no"].as_str().unwrap()) {
                None => json!({ "code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST" }),
                Some(says) => {
                    let mut reply = json!(alipay_trade(says));
                    reply["code"] = "10000".into();
                    reply["send_pay_date"] = "2026-11-28 12:00:00".into();
                    reply
                }
            }
        }
        "alipay.trade.refund" => {
            let text = content["refund_amount"].as_str().unwrap();
            let cents = Money::parse_decimal(text, Currency::CNY).unwrap().minor;
            note_refund(records, &content["out_request_no"], &cents.into());
            json!({ "code": "10000", "fund_change": "Y" })
        }
        other => json!({ "code": "40004", "sub_code": other }),
    };
    let name = format!("{}_response", form["method"].replace('.', "_"));
    let sign = PrivateKey::parse(&THEIRS.0)
        .unwrap()
        .sign(reply.to_string().as_bytes());
    format!(r#"{{"{name}":{reply},"sign":"{sign}"}}"#).into_response()
}

fn wechat_reply(records: &mut Records, method: &Method, path: &str, body: &str) -> Response {
    let reply = if path == "/v3/refund/domestic/refunds" {
        let body: Value = serde_json::from_str(body).unwrap();
        note_refund(records, &body["out_refund_no"], &body["amount"]["refund"]);
        json!({ "status": "PROCESSING" })
    } else if method == Method::POST {
        let body: Value = serde_json::from_str(body).unwrap();
        let order = body["out_trade_no"].as_str().unwrap();
        json!({ "h5_url": format!("https://wx.example/pay?prepay_id={order}") })
    } else {
        let order = path.split(['/', '?']).nth(5).unwrap();
        match records.known.get(order) {
            Some(says) => wechat_transaction(says),
            None => {
                return (StatusCode::NOT_FOUND, r#"{"code":"ORDER_NOT_EXIST"}"#).into_response();
            }
        }
    };
    let body = reply.to_string();
    (
        HeaderMap::from_iter(wechat_signature(&body, now_ms()).map(|(name, value)| {
            (
                name.parse::<axum::http::HeaderName>().unwrap(),
                value.parse().unwrap(),
            )
        })),
        body,
    )
        .into_response()
}
