//! One line of an edge's access log: format `seckill_json` of
//! `conf/seckill/http.conf`, as far as the analysis goes by it.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Deserialize;
use thiserror::Error;

use crate::ids;

/// Longest line that is read, in bytes; nginx's own limits keep real ones shorter.
pub const MAX_LINE: usize = 32 * 1024;

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a line of format seckill_json: {0}")]
pub struct BadLine(String);

/// What was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A product's page.
    Page,
    /// The time service.
    Time,
    /// A product's state.
    State,
    /// A hidden purchase URL.
    Path,
    /// A purchase.
    Click,
    /// Anything else.
    Other,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// When it arrived, epoch milliseconds.
    pub at_ms: u64,
    /// The client's address.
    pub address: IpAddr,
    /// The user, by a verified session.
    pub user: Option<Cow<'a, str>>,
    /// What was requested.
    pub endpoint: Endpoint,
    /// HTTP status of the response.
    pub status: u16,
    /// The gate's verdict; empty where there is no gate.
    pub verdict: Cow<'a, str>,
    /// The request's id: a page repeats a click under the same one.
    pub request: Cow<'a, str>,
    /// The browser's name for itself.
    pub agent: Cow<'a, str>,
    round: Cow<'a, str>,
    product: Cow<'a, str>,
    uri: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    msec: f64,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    uri: Cow<'a, str>,
    status: u16,
    seconds: f64,
    #[serde(borrow, default)]
    verdict: Cow<'a, str>,
    #[serde(borrow, default)]
    user: Cow<'a, str>,
    #[serde(borrow, default)]
    round: Cow<'a, str>,
    #[serde(borrow, default)]
    product: Cow<'a, str>,
    #[serde(borrow, default)]
    request: Cow<'a, str>,
    #[serde(borrow, default)]
    agent: Cow<'a, str>,
}

impl<'a> Line<'a> {
    /// Reads a line without its line break.
    ///
    /// # Errors
    /// [`BadLine`], with the parser's words.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadLine> {
        let raw: Raw<'a> =
            serde_json::from_slice(bytes).map_err(|error| BadLine(error.to_string()))?;
        let address = raw
            .address
            .parse::<IpAddr>()
            // A unix socket has no address: all its clients count as one.
            .or_else(|_| match &*raw.address {
                "unix:" => Ok(IpAddr::from([127, 0, 0, 1])),
                other => Err(BadLine(format!("\"{other}\" is no address"))),
            })?;
        let at_ms = milliseconds(raw.msec - raw.seconds)
            .ok_or_else(|| BadLine(format!("{} is no time", raw.msec)))?;
        Ok(Self {
            at_ms,
            address: address.to_canonical(),
            endpoint: endpoint_of(&raw.method, &raw.uri),
            user: ids::is_user(&raw.user).then_some(raw.user),
            status: raw.status,
            verdict: raw.verdict,
            request: raw.request,
            agent: raw.agent,
            round: raw.round,
            product: raw.product,
            uri: raw.uri,
        })
    }

    /// The round and product that it names, if any.
    #[must_use]
    pub fn item(&self) -> Option<(&str, &str)> {
        let (round, product) = match self.endpoint {
            Endpoint::Page => page_ids(&self.uri)?,
            Endpoint::State => api_ids(&self.uri, "/state")?,
            Endpoint::Path => api_ids(&self.uri, "/path")?,
            _ => (&*self.round, &*self.product),
        };
        (ids::is_id(round) && ids::is_id(product)).then_some((round, product))
    }

    /// Whether a page that is open in a browser sends this by itself; a program that
    /// only wants to buy does not.
    #[must_use]
    pub fn is_look(&self) -> bool {
        matches!(
            self.endpoint,
            Endpoint::Page | Endpoint::Time | Endpoint::State
        )
    }
}

/// Seconds as nginx logs them, in ms; `None` before 1970 and for what is no number.
fn milliseconds(seconds: f64) -> Option<u64> {
    let ms = (seconds * 1_000.0).round();
    // Exact below 2^53, and checked to be in range.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    (0.0..9.0e15).contains(&ms).then_some(ms as u64)
}

fn endpoint_of(method: &str, uri: &str) -> Endpoint {
    match uri {
        "/buy/" if method == "POST" => Endpoint::Click,
        "/api/time" => Endpoint::Time,
        _ if page_ids(uri).is_some() => Endpoint::Page,
        _ if api_ids(uri, "/state").is_some() => Endpoint::State,
        _ if api_ids(uri, "/path").is_some() => Endpoint::Path,
        _ => Endpoint::Other,
    }
}

fn page_ids(uri: &str) -> Option<(&str, &str)> {
    uri.strip_prefix("/product/")?
        .strip_suffix(".html")?
        .split_once('-')
}

fn api_ids<'u>(uri: &'u str, suffix: &str) -> Option<(&'u str, &'u str)> {
    uri.strip_prefix("/api/rounds/")?
        .strip_suffix(suffix)?
        .split_once("/products/")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const CLICK: &str = r#"{"time":"2026-11-23T12:00:00+08:00","msec":1795406400.250,"address":"203.0.113.7","method":"POST","uri":"/buy/","status":202,"bytes":321,"seconds":0.050,"upstream_seconds":"0.004","request":"r1","verdict":"admitted","user":"li","round":"1","product":"153","arrival":"17","permit":"e.1.2","agent":"Mozilla/5.0"}"#;

    #[test]
    fn a_click_says_who_what_and_when_it_arrived() {
        let line = Line::parse(CLICK.as_bytes()).unwrap();
        assert_eq!(line.at_ms, 1_795_406_400_200, "before it took 50 ms");
        assert_eq!(
            (line.user.as_deref(), line.endpoint),
            (Some("li"), Endpoint::Click)
        );
        assert_eq!(line.item(), Some(("1", "153")));
        assert!(!line.is_look());
    }

    #[test]
    fn what_a_browser_asks_for_is_known_by_its_address() {
        for (uri, what, item) in [
            ("/product/1-153.html", Endpoint::Page, Some(("1", "153"))),
            ("/api/time", Endpoint::Time, None),
            (
                "/api/rounds/1/products/153/state",
                Endpoint::State,
                Some(("1", "153")),
            ),
            (
                "/api/rounds/1/products/153/path",
                Endpoint::Path,
                Some(("1", "153")),
            ),
            ("/assets/product.js", Endpoint::Other, None),
            ("/product/1-a.b.html", Endpoint::Page, None),
            ("/buy/", Endpoint::Other, None),
        ] {
            let text = CLICK
                .replace("POST", "GET")
                .replace("/buy/", uri)
                .replace("\"round\":\"1\",\"product\":\"153\"", "\"round\":\"\"");
            let line = Line::parse(text.as_bytes()).unwrap();
            assert_eq!((line.endpoint, line.item()), (what, item), "{uri}");
        }
    }

    #[test]
    fn garbage_is_refused_and_unknown_fields_are_not_missed() {
        for bad in [
            "",
            "{",
            "GET / HTTP/1.1",
            "{}",
            &CLICK.replace("203.0.113.7", "nowhere"),
            &CLICK.replace("1795406400.250", "-5"),
            &CLICK.replace("\"status\":202", "\"status\":\"x\""),
            &CLICK[..CLICK.len() - 9],
        ] {
            assert!(Line::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Line::parse(b"\xff\xfe{").is_err());
        let more = CLICK.replace("{\"time\"", "{\"new\":[1,{}],\"time\"");
        assert!(Line::parse(more.as_bytes()).is_ok());
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_on_a_socket_of_ipv6() {
        let text = CLICK.replace("203.0.113.7", "::ffff:203.0.113.7");
        let line = Line::parse(text.as_bytes()).unwrap();
        assert_eq!(line.address.to_string(), "203.0.113.7");
    }
}
