//! WeChat Pay, API v3: requests signed with RSA, notices signed with RSA and encrypted
//! with AES-256-GCM (pay.weixin.qq.com, "签名验证" and "证书和回调报文解密").

use std::collections::HashMap;

use axum::http::{HeaderMap, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::payment::{Notice, ProviderName, Reported, WINDOW_MS};
use serde_json::{Value, json};

use super::call::{Api, Secret, encoded};
use super::rsa::{PrivateKey, PublicKey};
use super::{Bill, NoticeError, Opened, Provider, ProviderError, Received, Refund, Returned, Site};
use crate::now_ms;
use crate::store::checkouts::Checkout;

/// How a buyer is sent to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trade {
    /// A page for a phone's browser, which opens WeChat.
    #[default]
    H5,
    /// A `weixin://` address, to be shown as a QR code.
    Native,
}

/// A merchant at WeChat Pay.
#[derive(Debug)]
pub struct Merchant {
    /// The application's number.
    pub appid: String,
    /// The merchant's number.
    pub mchid: String,
    /// The serial number of the merchant's certificate.
    pub serial: String,
    /// Signs what we send.
    pub key: PrivateKey,
    /// Encrypts what WeChat Pay sends; 32 bytes.
    pub api_v3_key: Secret,
    /// Verify what WeChat Pay sends, by the serial number in `Wechatpay-Serial`.
    pub platform_keys: HashMap<String, PublicKey>,
    /// How buyers are sent to pay.
    pub trade: Trade,
}

/// WeChat Pay.
#[derive(Debug)]
pub struct WeChat {
    api: Api,
    merchant: Merchant,
    site: Site,
}

impl WeChat {
    /// At this address of the API, usually `https://api.mch.weixin.qq.com`.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and the address needs them.
    pub fn new(base: &str, merchant: Merchant, site: Site) -> std::io::Result<Self> {
        let api = Api::new(ProviderName::WeChat, base)?;
        Ok(Self {
            api,
            merchant,
            site,
        })
    }

    /// A call with its signature; the reply's is verified. `None` if there is no such
    /// thing.
    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, ProviderError> {
        let body = body.map_or_else(String::new, Value::to_string);
        let (seconds, nonce) = (now_ms() / 1000, nonce());
        let text = format!("{method}\n{path}\n{seconds}\n{nonce}\n{body}\n");
        let Merchant {
            mchid, serial, key, ..
        } = &self.merchant;
        let signature = key.sign(text.as_bytes());
        let authorization = format!(
            "WECHATPAY2-SHA256-RSA2048 mchid=\"{mchid}\",nonce_str=\"{nonce}\",\
             signature=\"{signature}\",timestamp=\"{seconds}\",serial_no=\"{serial}\""
        );
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.api.base))
            .header("authorization", authorization)
            .header("accept", "application/json")
            .header("content-type", "application/json");
        let reply = self.api.send(request, body).await?;
        if reply.status == 404 && method == "GET" {
            return Ok(None);
        }
        if !reply.status.is_success() {
            return Err(self.api.refusal(&reply));
        }
        if self.verify(&reply.headers, &reply.body, now_ms()).is_err() {
            return Err(self
                .api
                .away("the signature of its reply is not WeChat Pay's"));
        }
        let parsed = serde_json::from_slice(&reply.body);
        parsed
            .map(Some)
            .map_err(|error| self.api.away(format!("its reply cannot be read: {error}")))
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8], now_ms: u64) -> Result<(), NoticeError> {
        let received = Received {
            headers,
            body,
            now_ms,
        };
        let at = received.header("wechatpay-timestamp");
        let nonce = received.header("wechatpay-nonce");
        let serial = received.header("wechatpay-serial");
        let signature = received.header("wechatpay-signature");
        let key = self
            .merchant
            .platform_keys
            .get(serial)
            .ok_or(NoticeError::Forged)?;
        let text = [at.as_bytes(), b"\n", nonce.as_bytes(), b"\n", body, b"\n"].concat();
        let seconds: Option<u64> = at.parse().ok();
        match seconds {
            Some(seconds) if key.verifies(&text, signature) => {
                let away = seconds.saturating_mul(1000).abs_diff(now_ms);
                if away <= WINDOW_MS {
                    Ok(())
                } else {
                    Err(NoticeError::Expired)
                }
            }
            _ => Err(NoticeError::Forged),
        }
    }

    fn ours(&self, field: &'static str, value: &Value, ours: &str) -> Result<(), NoticeError> {
        match value.as_str() {
            Some(value) if value == ours => Ok(()),
            other => Err(NoticeError::Foreign {
                field,
                value: other.unwrap_or_default().to_owned(),
                ours: ours.to_owned(),
            }),
        }
    }
}

impl Provider for WeChat {
    fn name(&self) -> ProviderName {
        ProviderName::WeChat
    }

    async fn create(&self, bill: &Bill<'_>) -> Result<Opened, ProviderError> {
        let order = bill.order.to_string();
        let mut body = json!({
            "appid": self.merchant.appid,
            "mchid": self.merchant.mchid,
            "description": bill.title.chars().take(40).collect::<String>(),
            "out_trade_no": order,
            "time_expire": rfc3339(bill.until_ms),
            "notify_url": self.site.notify_url(ProviderName::WeChat),
            "amount": { "total": bill.amount.minor, "currency": bill.amount.currency.as_str() },
        });
        let (path, field) = match self.merchant.trade {
            Trade::H5 => ("/v3/pay/transactions/h5", "h5_url"),
            Trade::Native => ("/v3/pay/transactions/native", "code_url"),
        };
        if self.merchant.trade == Trade::H5 {
            let client = bill
                .client
                .map_or_else(|| "127.0.0.1".to_owned(), |ip| ip.to_string());
            body["scene_info"] = json!({ "payer_client_ip": client, "h5_info": { "type": "Wap" } });
        }
        let reply = self
            .call("POST", path, Some(&body))
            .await?
            .unwrap_or_default();
        let Some(url) = reply[field].as_str() else {
            return Err(self.api.away(format!("its reply has no {field}")));
        };
        let pay_url = match self.merchant.trade {
            Trade::H5 => {
                let back = encoded(&self.site.return_url(bill.order));
                format!("{url}&redirect_url={back}")
            }
            Trade::Native => url.to_owned(),
        };
        Ok(Opened {
            pay_url,
            provider_id: order,
        })
    }

    fn read(&self, received: &Received<'_>) -> Result<Option<Notice>, NoticeError> {
        self.verify(received.headers, received.body, received.now_ms)?;
        let unreadable = |reason: &str| NoticeError::Unreadable(reason.to_owned());
        let event: Value = serde_json::from_slice(received.body)
            .map_err(|error| NoticeError::Unreadable(error.to_string()))?;
        let resource = &event["resource"];
        let text = |key: &str| resource[key].as_str().unwrap_or_default();
        let (nonce, data) = (text("nonce"), text("associated_data"));
        let plain = decrypted(&self.merchant.api_v3_key, nonce, data, text("ciphertext"))
            .ok_or_else(|| unreadable("it cannot be decrypted; compare api_v3_key"))?;
        let plain: Value = serde_json::from_slice(&plain)
            .map_err(|error| NoticeError::Unreadable(error.to_string()))?;
        self.ours("mchid", &plain["mchid"], &self.merchant.mchid)?;
        let kind = event["event_type"].as_str().unwrap_or_default();
        if kind.starts_with("TRANSACTION.") {
            self.ours("appid", &plain["appid"], &self.merchant.appid)?;
            return of_transaction(&plain).map_err(|reason| unreadable(&reason));
        }
        if kind != "REFUND.SUCCESS" {
            return Ok(None);
        }
        let refunded = plain["amount"]["refund"].as_u64();
        let refunded = refunded.ok_or_else(|| unreadable("amount.refund is missing"))?;
        of_payment(&plain, Reported::Refunded(refunded))
            .map(Some)
            .map_err(|reason| unreadable(&reason))
    }

    async fn query(&self, checkout: &Checkout) -> Result<Option<Notice>, ProviderError> {
        let (order, mchid) = (checkout.order, &self.merchant.mchid);
        let path = format!("/v3/pay/transactions/out-trade-no/{order}?mchid={mchid}");
        match self.call("GET", &path, None).await? {
            Some(found) => of_transaction(&found).map_err(|reason| self.api.away(reason)),
            None => Ok(None),
        }
    }

    async fn refund(&self, refund: &Refund<'_>) -> Result<Returned, ProviderError> {
        let body = json!({
            "transaction_id": refund.payment,
            "out_refund_no": refund.key,
            "notify_url": self.site.notify_url(ProviderName::WeChat),
            "amount": {
                "refund": refund.part.minor,
                "total": refund.whole.minor,
                "currency": refund.whole.currency.as_str(),
            },
        });
        let reply = self
            .call("POST", "/v3/refund/domestic/refunds", Some(&body))
            .await?;
        match reply.unwrap_or_default()["status"].as_str() {
            Some("SUCCESS") => Ok(Returned::Done),
            Some("PROCESSING") => Ok(Returned::Pending),
            other => Err(self.api.refused(format!("the refund is {other:?}"))),
        }
    }

    /// WeChat Pay's list appears on the next morning; each checkout is queried instead.
    async fn list(&self, _: u64, _: u64) -> Result<Option<Vec<Notice>>, ProviderError> {
        Ok(None)
    }

    fn receipt(&self) -> Option<&'static str> {
        Some(r#"{"code":"SUCCESS"}"#)
    }
}

/// What a transaction says; `None` if its buyer has not paid yet.
fn of_transaction(plain: &Value) -> Result<Option<Notice>, String> {
    let reported = match plain["trade_state"].as_str().unwrap_or_default() {
        "SUCCESS" => Reported::Paid,
        // How much was refunded stands in the notices of the refunds.
        "REFUND" => Reported::Paid,
        "NOTPAY" | "USERPAYING" | "ACCEPT" => return Ok(None),
        "CLOSED" | "REVOKED" | "PAYERROR" => Reported::Failed,
        other => return Err(format!("trade_state is \"{other}\"")),
    };
    if reported == Reported::Failed && plain["transaction_id"].as_str().is_none() {
        return Ok(None);
    }
    of_payment(plain, reported).map(Some)
}

fn of_payment(plain: &Value, reported: Reported) -> Result<Notice, String> {
    let text = |key: &str| {
        let value = plain[key].as_str().map(str::to_owned);
        value.ok_or_else(|| format!("{key} is missing"))
    };
    let amount = &plain["amount"];
    let minor = amount["total"].as_u64().ok_or("amount.total is missing")?;
    let currency = match amount["currency"].as_str() {
        None => Currency::CNY,
        Some(text) => Currency::parse(text).ok_or_else(|| format!("currency is \"{text}\""))?,
    };
    Ok(Notice {
        provider: ProviderName::WeChat,
        payment: text("transaction_id")?,
        order: text("out_trade_no")?,
        amount: Money::new(minor, currency),
        reported,
    })
}

/// The text of an encrypted resource.
fn decrypted(key: &Secret, nonce: &str, data: &str, ciphertext: &str) -> Option<Vec<u8>> {
    let key = UnboundKey::new(&AES_256_GCM, key.text().as_bytes()).ok()?;
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_bytes()).ok()?;
    let mut bytes = STANDARD.decode(ciphertext).ok()?;
    let data = Aad::from(data.as_bytes());
    let plain = LessSafeKey::new(key)
        .open_in_place(nonce, data, &mut bytes)
        .ok()?;
    Some(plain.to_vec())
}

/// A random text for one signature.
fn nonce() -> String {
    let mut bytes = [0; 16];
    // Without randomness all zeros: the time in the signed text still differs.
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rfc3339(ms: u64) -> String {
    let at = i64::try_from(ms / 1000).ok();
    let at = at.and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(String::new, |at| at.to_string())
}
