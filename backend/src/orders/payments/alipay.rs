//! Alipay: the page that takes payments, and notices signed with RSA2
//! (opendocs.alipay.com, alipay.trade.page.pay and its asynchronous notices).

use std::collections::BTreeMap;

use axum::http::Request;
use jiff::Timestamp;
use jiff::tz::{TimeZone, offset};
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::payment::{Notice, ProviderName, Reported};
use serde_json::{Value, json};

use super::call::{Api, form};
use super::rsa::{PrivateKey, PublicKey};
use super::{Bill, NoticeError, Opened, Provider, ProviderError, Received, Refund, Returned, Site};
use crate::now_ms;
use crate::store::checkouts::Checkout;

/// The page that a buyer is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    /// The page for a computer's browser.
    #[default]
    Page,
    /// The page for a phone's browser.
    Wap,
}

/// An application at Alipay.
#[derive(Debug)]
pub struct Alipay {
    api: Api,
    app_id: String,
    /// The merchant who is paid; notices for others are refused if it is set.
    seller_id: Option<String>,
    key: PrivateKey,
    alipay_key: PublicKey,
    page: Page,
    site: Site,
}

/// What identifies an application.
#[derive(Debug)]
pub struct Application {
    /// Its number.
    pub app_id: String,
    /// The merchant's number, if it is to be compared.
    pub seller_id: Option<String>,
    /// Signs what we send.
    pub key: PrivateKey,
    /// Verifies what Alipay sends.
    pub alipay_key: PublicKey,
    /// The page that buyers are sent to.
    pub page: Page,
}

impl Alipay {
    /// A client of the gateway at this address, usually `https://openapi.alipay.com/gateway.do`.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and the gateway needs them.
    pub fn new(gateway: &str, application: Application, site: Site) -> std::io::Result<Self> {
        Ok(Self {
            api: Api::new(ProviderName::Alipay, gateway)?,
            app_id: application.app_id,
            seller_id: application.seller_id,
            key: application.key,
            alipay_key: application.alipay_key,
            page: application.page,
            site,
        })
    }

    /// The parameters of a call, with their signature.
    fn parameters(
        &self,
        method: &str,
        content: &Value,
        more: &[(&str, String)],
        now_ms: u64,
    ) -> String {
        let content = content.to_string();
        let at = beijing(now_ms);
        let mut all: BTreeMap<&str, &str> = BTreeMap::from([
            ("app_id", self.app_id.as_str()),
            ("biz_content", content.as_str()),
            ("charset", "utf-8"),
            ("format", "JSON"),
            ("method", method),
            ("sign_type", "RSA2"),
            ("timestamp", at.as_str()),
            ("version", "1.0"),
        ]);
        all.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
        let sign = self.key.sign(to_sign(&all).as_bytes());
        all.insert("sign", &sign);
        form(all)
    }

    /// A call, and the object under `{method}_response`; its signature is verified.
    async fn call(&self, method: &str, content: &Value) -> Result<Value, ProviderError> {
        let body = self.parameters(method, content, &[], now_ms());
        let request = Request::builder()
            .method("POST")
            .uri(&self.api.base)
            .header(
                "content-type",
                "application/x-www-form-urlencoded;charset=utf-8",
            );
        let reply = self.api.send(request, body).await?;
        let text = String::from_utf8_lossy(&reply.body);
        let name = format!("{}_response", method.replace('.', "_"));
        let parsed: Value = serde_json::from_str(&text)
            .map_err(|error| self.api.away(format!("its reply cannot be read: {error}")))?;
        let signed = node(&text, &name).unwrap_or_default();
        let sign = parsed["sign"].as_str().unwrap_or_default();
        if !self.alipay_key.verifies(signed.as_bytes(), sign) {
            return Err(self.api.away("the signature of its reply is not Alipay's"));
        }
        Ok(parsed[&name].clone())
    }

    /// The refusal that a reply with another code than 10000 is.
    fn refusal(&self, reply: &Value) -> ProviderError {
        let text = |key: &str| reply[key].as_str().unwrap_or_default().to_owned();
        let (code, sub, message) = (text("code"), text("sub_code"), text("sub_msg"));
        // 20000: the service is not available.
        if code == "20000" || sub == "ACQ.SYSTEM_ERROR" || sub == "aop.ACQ.SYSTEM_ERROR" {
            return self.api.away(format!("{code} {sub} {message}"));
        }
        self.api.refused(format!("{code} {sub} {message}"))
    }

    fn ours(&self, field: &'static str, value: &str, ours: &str) -> Result<(), NoticeError> {
        if value == ours {
            return Ok(());
        }
        Err(NoticeError::Foreign {
            field,
            value: value.to_owned(),
            ours: ours.to_owned(),
        })
    }
}

impl Provider for Alipay {
    fn name(&self) -> ProviderName {
        ProviderName::Alipay
    }

    async fn create(&self, bill: &Bill<'_>) -> Result<Opened, ProviderError> {
        if bill.amount.currency != Currency::CNY {
            let reason = format!(
                "it takes CNY only, and this shop sells in {}",
                bill.amount.currency
            );
            return Err(self.api.refused(reason));
        }
        let order = bill.order.to_string();
        let (method, product) = match self.page {
            Page::Page => ("alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"),
            Page::Wap => ("alipay.trade.wap.pay", "QUICK_WAP_WAY"),
        };
        let content = json!({
            "out_trade_no": order,
            "total_amount": bill.amount.decimal(),
            "subject": subject(bill.title),
            "product_code": product,
            "time_expire": beijing(bill.until_ms),
        });
        let more = [
            ("notify_url", self.site.notify_url(ProviderName::Alipay)),
            ("return_url", self.site.return_url(bill.order)),
        ];
        let query = self.parameters(method, &content, &more, bill.now_ms);
        Ok(Opened {
            pay_url: format!("{}?{query}", self.api.base),
            provider_id: order,
        })
    }

    fn read(&self, received: &Received<'_>) -> Result<Option<Notice>, NoticeError> {
        let pairs = form_urlencoded::parse(received.body);
        let all: BTreeMap<String, String> = pairs.into_owned().collect();
        let text = |key: &str| all.get(key).map_or("", String::as_str);
        let signed = all.iter().filter(|(key, _)| *key != "sign_type");
        let signed = signed
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        if !self
            .alipay_key
            .verifies(to_sign(&signed).as_bytes(), text("sign"))
        {
            return Err(NoticeError::Forged);
        }
        self.ours("app_id", text("app_id"), &self.app_id)?;
        if let Some(seller) = &self.seller_id {
            self.ours("seller_id", text("seller_id"), seller)?;
        }
        let known = ["total_amount", "refund_fee"].map(|key| (key, text(key)));
        of_trade(
            text("trade_status"),
            text("trade_no"),
            text("out_trade_no"),
            known,
        )
        .map_err(NoticeError::Unreadable)
    }

    async fn query(&self, checkout: &Checkout) -> Result<Option<Notice>, ProviderError> {
        let content = json!({ "out_trade_no": checkout.order.to_string() });
        let reply = self.call("alipay.trade.query", &content).await?;
        let text = |key: &str| reply[key].as_str().unwrap_or_default();
        match (text("code"), text("sub_code")) {
            ("10000", _) => {}
            (_, "ACQ.TRADE_NOT_EXIST") => return Ok(None),
            _ => return Err(self.refusal(&reply)),
        }
        // What was refunded stands in the notices only; a trade that was refunded in full
        // is closed.
        let closed = if text("trade_status") == "TRADE_CLOSED" && !text("send_pay_date").is_empty()
        {
            text("total_amount")
        } else {
            ""
        };
        let known = [
            ("total_amount", text("total_amount")),
            ("refund_fee", closed),
        ];
        of_trade(
            text("trade_status"),
            text("trade_no"),
            text("out_trade_no"),
            known,
        )
        .map_err(|reason| self.api.away(reason))
    }

    async fn refund(&self, refund: &Refund<'_>) -> Result<Returned, ProviderError> {
        let content = json!({
            "trade_no": refund.payment,
            "refund_amount": refund.part.decimal(),
            "out_request_no": refund.key,
        });
        let reply = self.call("alipay.trade.refund", &content).await?;
        match reply["code"].as_str() {
            // "fund_change": "N" says that this refund was made before.
            Some("10000") => Ok(Returned::Done),
            _ => Err(self.refusal(&reply)),
        }
    }

    /// Alipay's list is a ZIP archive once a day; each checkout is queried instead.
    async fn list(&self, _: u64, _: u64) -> Result<Option<Vec<Notice>>, ProviderError> {
        Ok(None)
    }

    fn receipt(&self) -> Option<&'static str> {
        Some("success")
    }
}

/// What Alipay signs: all parameters that are not empty but the signature itself, in the
/// order of their names.
fn to_sign(all: &BTreeMap<&str, &str>) -> String {
    let given = all
        .iter()
        .filter(|(key, value)| **key != "sign" && !value.is_empty());
    let pairs: Vec<String> = given.map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join("&")
}

/// What a trade says; `None` if its buyer has not paid yet.
fn of_trade(
    status: &str,
    trade: &str,
    order: &str,
    [(_, total), (_, refunded)]: [(&str, &str); 2],
) -> Result<Option<Notice>, String> {
    let yuan = |text: &str| Money::parse_decimal(text, Currency::CNY);
    let reported = match (status, refunded) {
        ("WAIT_BUYER_PAY", _) => return Ok(None),
        ("TRADE_SUCCESS" | "TRADE_FINISHED", "" | "0" | "0.00") => Reported::Paid,
        ("TRADE_CLOSED", "" | "0" | "0.00") => Reported::Failed,
        ("TRADE_SUCCESS" | "TRADE_FINISHED" | "TRADE_CLOSED", part) => {
            let part = yuan(part).ok_or_else(|| format!("refund_fee is \"{part}\""))?;
            Reported::Refunded(part.minor)
        }
        _ => return Err(format!("trade_status is \"{status}\"")),
    };
    Ok(Some(Notice {
        provider: ProviderName::Alipay,
        payment: trade.to_owned(),
        order: order.to_owned(),
        amount: yuan(total).ok_or_else(|| format!("total_amount is \"{total}\""))?,
        reported,
    }))
}

/// The text of one object in a reply, as it was signed: up to its closing brace.
fn node<'a>(reply: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = reply.split_once(&format!("\"{name}\""))?;
    let from = rest.get(rest.find('{')?..)?;
    let mut values = serde_json::Deserializer::from_str(from).into_iter::<Value>();
    values.next()?.ok()?;
    from.get(..values.byte_offset())
}

/// A subject without the characters that Alipay refuses, and not too long.
fn subject(title: &str) -> String {
    let kept = title
        .chars()
        .filter(|c| !matches!(c, '/' | '=' | '&') && !c.is_control());
    kept.take(128).collect()
}

/// A time as Alipay writes it, by the clock of Beijing.
fn beijing(ms: u64) -> String {
    let at = i64::try_from(ms).ok();
    let at = at.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let zone = TimeZone::fixed(offset(8));
    at.map_or_else(String::new, |at| {
        at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
    })
}

#[cfg(test)]
mod tests;
