//! The page of a product (course §068): rendered once and then static, so that a
//! crowd costs no more than a file.

use askama::Template;
use seckill_core::orders::money::{Currency, Money};
use seckill_core::pages::picture::{self, Described};

use super::text;
use crate::store::round::{Product, Round};

/// The content of a page, from Redis or, for a preview, from a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageContent {
    /// The round's id.
    pub round: String,
    /// The round's name.
    pub round_name: String,
    /// The product's id.
    pub product: String,
    /// The product's name.
    pub title: String,
    /// Its description, in the marks of [`text`]; may be empty.
    pub text: String,
    /// Its pictures, the most telling one first; may be none.
    pub pictures: Vec<Described>,
    /// Items for sale.
    pub amount: u64,
    /// Price in the round, in cents.
    pub price_cents: u64,
    /// Price outside of the round, in cents.
    pub list_price_cents: u64,
    /// Most items in one purchase.
    pub per_buyer: u32,
    /// Start, epoch milliseconds.
    pub opens_ms: u64,
    /// End, epoch milliseconds.
    pub ends_ms: u64,
}

/// The variables of `html/templates/product.html`.
#[derive(Template)]
#[template(path = "product.html")]
struct ProductPage<'a> {
    round: &'a str,
    product: &'a str,
    /// The shop's address without a slash at its end; empty if it is not known.
    site: &'a str,
    /// The path of the page.
    path: String,
    round_name: &'a str,
    title: &'a str,
    pictures: &'a [Described],
    /// What is written before an amount.
    sign: String,
    price: String,
    list_price: String,
    discount_percent: u64,
    amount: u64,
    per_buyer: u32,
    opens_ms: u64,
    ends_ms: u64,
    /// The description as HTML, escaped.
    text: String,
}

/// The path of a product's page, as the edge serves it.
#[must_use]
pub fn path_of(round: &str, product: &str) -> String {
    format!("/product/{round}-{product}.html")
}

impl PageContent {
    /// The content of the page of a product of `round`, for a preview.
    #[must_use]
    pub fn of(round: &Round, product: &Product) -> Self {
        Self {
            round: round.id.clone(),
            round_name: round.name.clone(),
            product: product.id.clone(),
            title: product.title.clone(),
            text: product.text.clone(),
            pictures: picture::described(
                &product.picture,
                &picture::alt_lines(&product.picture_alt),
            ),
            amount: product.amount,
            price_cents: product.price_cents,
            list_price_cents: product.list_price_cents,
            per_buyer: product.per_buyer,
            opens_ms: round.opens_ms,
            ends_ms: round.ends_ms,
        }
    }
}

/// The page, referring to assets by their plain names; its prices are in `currency`.
/// Link previews need whole addresses, below that of the shop (`site`).
///
/// # Errors
/// The template could not be filled in.
pub fn html(
    content: &PageContent,
    currency: Currency,
    site: Option<&str>,
) -> Result<String, askama::Error> {
    let money = |minor| Money::new(minor, currency).decimal();
    let page = ProductPage {
        sign: currency.sign(),
        round: &content.round,
        product: &content.product,
        site: site.map_or("", |site| site.trim_end_matches('/')),
        path: path_of(&content.round, &content.product),
        round_name: &content.round_name,
        title: &content.title,
        text: text::to_html(&content.text, &content.pictures),
        pictures: &content.pictures,
        price: money(content.price_cents),
        list_price: money(content.list_price_cents),
        discount_percent: discount_percent(content.price_cents, content.list_price_cents),
        amount: content.amount,
        per_buyer: content.per_buyer,
        opens_ms: content.opens_ms,
        ends_ms: content.ends_ms,
    };
    Ok(with_currency(&page.render()?, currency))
}

/// A page whose scripts write amounts in `currency`.
#[must_use]
pub fn with_currency(html: &str, currency: Currency) -> String {
    let (sign, digits) = (currency.sign(), currency.digits());
    let root = format!("<html data-sign=\"{sign}\" data-digits=\"{digits}\" ");
    html.replacen("<html ", &root, 1)
}

/// The discount on the list price in whole percent, rounded down so that no more is
/// promised than given.
fn discount_percent(price_cents: u64, list_price_cents: u64) -> u64 {
    match list_price_cents {
        0 => 0,
        list => list.saturating_sub(price_cents) * 100 / list,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discounts_promise_no_more_than_is_given() {
        assert_eq!(discount_percent(99_900, 399_900), 75);
        assert_eq!(discount_percent(100, 100), 0);
        assert_eq!(discount_percent(0, 0), 0);
    }

    #[test]
    fn every_text_is_made_harmless() {
        let wicked = "<script>alert(1)</script>\" onload=\"x";
        let content = PageContent {
            round: "1".into(),
            round_name: wicked.into(),
            product: "2".into(),
            title: wicked.into(),
            text: wicked.into(),
            pictures: picture::described("0123456789abcdef-960x720", wicked),
            amount: 1,
            price_cents: 1,
            list_price_cents: 2,
            per_buyer: 1,
            opens_ms: 1,
            ends_ms: 2,
        };
        let page = html(&content, Currency::CNY, None).unwrap();
        assert!(
            !page.contains("<script>alert") && !page.contains("\" onload"),
            "{page}"
        );
        assert!(page.contains("/pictures/0123456789abcdef-960.jpg 960w"));
        assert!(!page.contains("og:url"));
        let page = html(&content, Currency::CNY, Some("https://shop.example.com/")).unwrap();
        for meta in [
            "og:url\" content=\"https://shop.example.com/product/1-2.html\"",
            "og:image\" content=\"https://shop.example.com/pictures/0123456789abcdef-",
        ] {
            assert!(page.contains(meta), "{meta}: {page}");
        }
        for (currency, price) in [
            ("CNY", "¥</small>0.01"),
            ("USD", "$</small>0.01"),
            ("JPY", "¥</small>1<"),
        ] {
            let page = html(&content, Currency::parse(currency).unwrap(), None).unwrap();
            assert!(page.contains(price), "{currency}: {page}");
        }
        let yen = Currency::parse("JPY").unwrap();
        let root = "<!doctype html>\n<html data-sign=\"¥\" data-digits=\"0\" lang=\"zh-CN\">";
        for page in [
            with_currency("<!doctype html>\n<html lang=\"zh-CN\">", yen),
            html(&content, yen, None).unwrap(),
        ] {
            assert!(page.starts_with(root), "{page}");
        }
    }
}
