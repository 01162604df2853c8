//! Buyers decide about their orders: pay, cancel, let the time pass, or pay and
//! cancel at the same instant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::{Call, CallError, Edge, Response};

/// What the buyers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Plan {
    /// Each pays and cancels at the same instant.
    Both,
    /// Of three with an order one pays, one cancels, and one does nothing.
    Thirds,
}

/// The buyers, and what they do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Round id.
    pub round: String,
    /// The buyers' names.
    pub users: Vec<String>,
    /// What they do.
    pub plan: Plan,
    /// How long to retry while the shop is unavailable.
    pub limit: Duration,
}

/// How the orders ended, counted.
#[derive(Debug, Default, Serialize)]
pub struct DecideReport {
    /// Buyers with an order to decide about.
    pub orders: usize,
    /// The states of their orders afterwards.
    pub states: BTreeMap<String, usize>,
    /// Responses to paying and cancelling, by code.
    pub codes: BTreeMap<String, usize>,
    /// Buyers who never got a response.
    pub unanswered: usize,
}

/// Lets the buyers decide; each retries until the state of their order is known.
///
/// # Errors
/// A task of this program panicked.
pub async fn run(
    authority: &str,
    connections: usize,
    options: Options,
) -> Result<DecideReport, tokio::task::JoinError> {
    let until = Instant::now() + options.limit;
    let shop = Arc::new((Edge::new(authority, connections), options, until));
    let mut finding = JoinSet::new();
    for user in &shop.1.users {
        let (user, shop) = (user.clone(), Arc::clone(&shop));
        finding.spawn(async move { find(&shop, &user).await });
    }
    let mut decided = DecideReport::default();
    let mut buyers = Vec::new();
    for found in finding.join_all().await {
        match found {
            Some(Some(buyer)) => buyers.push(buyer),
            Some(None) => {}
            None => decided.unanswered += 1,
        }
    }
    decided.orders = buyers.len();
    buyers.sort_by(|a, b| a.path.cmp(&b.path));
    let mut deciding = JoinSet::new();
    for (number, buyer) in buyers.into_iter().enumerate() {
        let shop = Arc::clone(&shop);
        deciding.spawn(async move { buyer.decide(&shop, number).await });
    }
    for (codes, state) in deciding.join_all().await {
        for code in codes {
            *decided.codes.entry(code).or_default() += 1;
        }
        match state {
            Some(state) => *decided.states.entry(state).or_default() += 1,
            None => decided.unanswered += 1,
        }
    }
    Ok(decided)
}

type Shop = (Edge, Options, Instant);

struct Buyer {
    cookie: String,
    /// The path of their order.
    path: String,
}

/// Logs a buyer in and finds their order; `None` without a response in time.
async fn find((edge, options, until): &Shop, user: &str) -> Option<Option<Buyer>> {
    let body = serde_json::json!({ "user": user }).to_string();
    let login = Call {
        body: &body,
        ..Call::new(&Method::POST, "/api/session")
    };
    let cookie = call_until(edge, login, *until).await?.cookie?;
    let list = Call {
        cookie: Some(&cookie),
        ..Call::new(&Method::GET, "/api/orders")
    };
    let answer = call_until(edge, list, *until).await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    let orders = answer["orders"].as_array()?;
    let mine = orders
        .iter()
        .find(|order| order["round"] == *options.round && order["status"] == "created");
    let number = mine.and_then(|order| order["order"].as_str());
    Some(number.map(|number| Buyer {
        path: format!("/api/orders/{number}"),
        cookie: cookie.clone(),
    }))
}

impl Buyer {
    async fn decide(
        &self,
        (edge, options, until): &Shop,
        number: usize,
    ) -> (Vec<String>, Option<String>) {
        let step = async |step: &str| {
            let path = format!("{}/{step}", self.path);
            let call = Call {
                cookie: Some(&self.cookie),
                ..Call::new(&Method::POST, &path)
            };
            let answer = call_until(edge, call, *until).await;
            let code = answer.map_or_else(|| "no answer".to_owned(), |answer| answer.code());
            format!("{step} {code}")
        };
        let codes = match (options.plan, number % 3) {
            (Plan::Both, _) => {
                let (paid, cancelled) = tokio::join!(step("pay"), step("cancel"));
                vec![paid, cancelled]
            }
            (Plan::Thirds, 0) => vec![step("pay").await],
            (Plan::Thirds, 1) => vec![step("cancel").await],
            (Plan::Thirds, _) => Vec::new(),
        };
        let read = Call {
            cookie: Some(&self.cookie),
            ..Call::new(&Method::GET, &self.path)
        };
        let stands = call_until(edge, read, *until).await;
        (codes, stands.and_then(|answer| answer.text("status")))
    }
}

/// Retries while there is no response, or the shop is busy or unavailable.
async fn call_until(edge: &Edge, call: Call<'_>, until: Instant) -> Option<Response> {
    loop {
        let answer: Result<Response, CallError> = edge.call(call).await;
        match answer {
            Ok(answer) if answer.status < 500 && answer.status != 429 => return Some(answer),
            _ if Instant::now() >= until => return None,
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}
