//! The inventory over HTTP: JSON, signed like payment notices. Whoever keeps the shop's
//! stock serves these five calls, or an adapter in front of it does.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::{Request, StatusCode};
use http_body_util::Full;
use seckill_core::orders::payment;
use seckill_core::signing::keyring::Keyring;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Held, Inventory, InventoryError, Offer};
use crate::http::client::HttpClient;
use crate::now_ms;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest reply that is read, in bytes.
const MAX_REPLY: usize = 4 << 20;
/// Characters of a refusal that are kept.
const SHOWN: usize = 300;

/// An inventory that is reached by HTTP.
#[derive(Debug)]
pub struct HttpInventory {
    client: HttpClient,
    /// Its address, without a slash at its end.
    base: String,
    keys: Arc<Keyring>,
}

#[derive(Deserialize)]
struct Items {
    items: Vec<Offer>,
}

impl HttpInventory {
    /// A client of the inventory at this address; calls are signed with the first of `keys`.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and the address needs them.
    pub fn new(base: &str, keys: Arc<Keyring>) -> std::io::Result<Self> {
        let scheme = base.split_once("://").map(|(scheme, _)| scheme);
        Ok(Self {
            client: HttpClient::new(scheme)?,
            base: base.trim_end_matches('/').to_owned(),
            keys,
        })
    }

    /// A call; `None` if there is no such thing.
    async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<Option<T>, InventoryError> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let signed = if body.is_empty() { path } else { &body };
        let signature = payment::sign(&self.keys, now_ms(), signed.as_bytes());
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .header("user-agent", "seckill")
            .header("x-seckill-signature", signature)
            .body(Full::from(body))
            .map_err(|error| InventoryError::Refused(format!("no request can be made: {error}")))?;
        let exchange = async {
            let response = self.client.send(request).await?;
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, MAX_REPLY).await;
            Ok::<_, String>((parts.status, body.map_err(|error| error.to_string())?))
        };
        let late = || format!("no reply within {} s", TIMEOUT.as_secs());
        let outcome = tokio::time::timeout(TIMEOUT, exchange).await;
        let (status, body) = outcome
            .unwrap_or_else(|_| Err(late()))
            .map_err(InventoryError::Away)?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if status.is_success() {
            let parsed = serde_json::from_slice(&body);
            let unreadable =
                |error| InventoryError::Away(format!("its reply cannot be read: {error}"));
            return parsed.map(Some).map_err(unreadable);
        }
        let text = String::from_utf8_lossy(&body);
        let shown: String = text.chars().take(SHOWN).collect();
        let said = format!("{status}: {shown}");
        Err(
            match status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
                true => InventoryError::Refused(said),
                false => InventoryError::Away(said),
            },
        )
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

impl Inventory for HttpInventory {
    async fn items(&self, search: &str) -> Result<Vec<Offer>, InventoryError> {
        let path = format!("/items?search={}", encoded(search));
        let found: Option<Items> = self.call("GET", &path, None).await?;
        Ok(found.map(|found| found.items).unwrap_or_default())
    }

    async fn item(&self, sku: &str) -> Result<Option<Offer>, InventoryError> {
        self.call("GET", &format!("/items/{}", encoded(sku)), None)
            .await
    }

    async fn hold(&self, id: &str, sku: &str, amount: u64) -> Result<Held, InventoryError> {
        let body = json!({ "sku": sku, "amount": amount });
        let held = self
            .call("PUT", &format!("/holds/{}", encoded(id)), Some(body))
            .await?;
        held.ok_or_else(|| InventoryError::Refused(format!("it has no item \"{sku}\"")))
    }

    async fn settle(&self, id: &str, sold: u64, returned: u64) -> Result<(), InventoryError> {
        let path = format!("/holds/{}/settle", encoded(id));
        let body = json!({ "sold": sold, "returned": returned });
        let settled: Option<Held> = self.call("POST", &path, Some(body)).await?;
        match settled {
            // Nothing is held under this name, so that nothing is to be returned.
            None if sold == 0 => Ok(()),
            None => Err(InventoryError::Refused(format!("it has no hold \"{id}\""))),
            Some(held) if (held.sold, held.returned) == (sold, returned) => Ok(()),
            Some(held) => Err(InventoryError::Refused(format!(
                "it settled \"{id}\" before, with {} sold and {} returned",
                held.sold, held.returned
            ))),
        }
    }

    async fn held(&self, id: &str) -> Result<Option<Held>, InventoryError> {
        self.call("GET", &format!("/holds/{}", encoded(id)), None)
            .await
    }
}
