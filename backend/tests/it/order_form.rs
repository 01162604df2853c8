//! The order form: what buyers fill in, and what cannot be paid before.

use axum::http::{Request, StatusCode};
use seckill::orders::form_file;
use seckill::orders::payments::signed::Signed;
use seckill::orders::payments::{AnyProvider, Payments, Site};
use seckill_core::orders::form::Form;
use seckill_core::orders::money::Currency;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::shop::Shop;
use crate::common::{cookie, payment_ring};

const FILE: &str = r#"
[[field]]
name = "size"
label = { zh = "尺码", en = "Size" }
kind = "select"
required = true
options = [{ value = "M" }, { value = "L", label = { zh = "大", en = "Large" } }]
products = ["153"]

[[field]]
name = "note"
label = { zh = "备注", en = "Note" }
kind = "textarea"
max_length = 10

[[field]]
name = "engraving"
label = { en = "Engraving" }
required = true
products = ["154"]
"#;

fn read(text: &str) -> Result<Form, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("order-form.toml");
    std::fs::write(&path, text).unwrap();
    form_file::read(&path).map_err(|error| error.to_string())
}

fn payments() -> Payments {
    let signed = Signed::new(payment_ring(), Currency::CNY);
    let site = Site::new("https://shop.example.com");
    let signed = signed.with_page("https://pay.example.com/?o={order}&a={amount_cents}", site);
    Payments::new(Currency::CNY, vec![AnyProvider::Signed(signed)])
}

async fn fill_in(shop: &Shop, user: &str, order: &str, details: &Value) -> (StatusCode, Value) {
    let path = format!("/api/orders/{order}/details");
    let request = Request::put(path).header("cookie", cookie(user));
    shop.send(request.body(details.to_string().into()).unwrap())
        .await
}

#[tokio::test]
async fn an_order_is_paid_once_what_it_needs_is_filled_in() {
    let mut shop = Shop::open(5).await;
    shop.wants(read(FILE).unwrap(), payments()).await;
    shop.run_all();
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    let order = shop.until_ordered("li").await;
    let (path, pay) = (
        format!("/api/orders/{order}"),
        format!("/api/orders/{order}/pay"),
    );

    let shown = shop.get(&path, "li").await.1;
    let names: Vec<_> = shown["form"].as_array().unwrap().iter().collect();
    assert_eq!(
        (names.len(), &names[0]["name"], &names[1]["name"]),
        (2, &json!("size"), &json!("note")),
        "only the fields of this product: {shown}"
    );
    assert_eq!(names[0]["options"][1]["label"]["zh"], "大");
    assert_eq!(
        (&shown["details_due"], &shown["details"], &shown["pay_url"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    let refused = shop.post(&pay, "li").await;
    assert_eq!(
        (refused.0, &refused.1["code"]),
        (StatusCode::CONFLICT, &json!("details_required"))
    );

    for (details, field, reason) in [
        (json!({}), "size", "missing"),
        (json!({ "size": "S" }), "size", "no_option"),
        (
            json!({ "size": "M", "note": "eleven chars" }),
            "note",
            "too_long",
        ),
        (
            json!({ "size": "M", "note": "a\u{202e}b" }),
            "note",
            "direction",
        ),
        (
            json!({ "size": "M", "engraving": "x" }),
            "engraving",
            "unknown_field",
        ),
    ] {
        let (status, body) = fill_in(&shop, "li", &order, &details).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{details}");
        let said = (&body["code"], &body["field"], &body["reason"]);
        assert_eq!(said, (&json!("bad_details"), &json!(field), &json!(reason)));
    }
    let other = fill_in(&shop, "wang", &order, &json!({ "size": "M" })).await;
    assert_eq!(other.0, StatusCode::NOT_FOUND);

    let given = json!({ "size": "L", "note": " 周末送 " });
    let (status, kept) = fill_in(&shop, "li", &order, &given).await;
    let trimmed = json!({ "size": "L", "note": "周末送" });
    assert_eq!((status, &kept["details"]), (StatusCode::OK, &trimmed));
    let shown = shop.get(&path, "li").await.1;
    assert_eq!(
        (&shown["details_due"], &shown["details"]),
        (&json!(false), &trimmed)
    );
    assert!(shown["pay_url"].as_str().unwrap().contains(&order));
    let sent = shop.post(&pay, "li").await;
    assert_eq!(
        (sent.0, &sent.1["pay_url"]),
        (StatusCode::OK, &shown["pay_url"])
    );
    shop.shut().await;
}

#[tokio::test]
async fn a_shop_without_a_form_says_nothing_of_one() {
    let mut shop = Shop::open(5).await;
    shop.run_all();
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    let order = shop.until_ordered("li").await;
    let shown = shop.get(&format!("/api/orders/{order}"), "li").await.1;
    assert!(shown.get("form").is_none() && shown.get("details_due").is_none());
    let paid = shop.post(&format!("/api/orders/{order}/pay"), "li").await;
    assert_eq!(
        (paid.0, &paid.1["status"]),
        (StatusCode::OK, &json!("paid"))
    );
    shop.shut().await;
}

#[test]
fn a_file_that_makes_no_sense_is_refused_with_place_and_cure() {
    let missing = form_file::read(TempDir::new().unwrap().path().join("none").as_path());
    assert!(missing.unwrap().is_empty());
    for (text, words) in [
        ("[[field]]\nname = \"a\"", "missing field `label`"),
        ("[[feild]]", "unknown field `feild`"),
        (
            "[[field]]\nname = \"a\"\nlabel = { en = \"A\" }\nkind = \"date\"",
            "unknown variant `date`",
        ),
        (
            "[[field]]\nname = \"a b\"\nlabel = { en = \"A\" }",
            "the field \"a b\" has no name that can be used",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains("order-form.toml is wrong"), "{error}");
        assert!(error.contains(words), "{error}");
    }
}
