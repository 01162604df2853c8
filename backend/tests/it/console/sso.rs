//! Single sign-on: who gets in, as whom, and with which role.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{Method, StatusCode};
use seckill::store::accounts::Role;
use serde_json::{Value, json};

use self::provider::{Asked, CLIENT, Provider, SECRET};
use crate::common::console::{Answer, Console, Session};
use crate::common::eventually;

/// A provider that is away, slow or faulty.
mod away;
/// Single sign-on beside passwords and second factors, and instead of them.
mod passwords;
/// A provider of a test's own.
mod provider;
/// What an attacker tries.
mod refusals;

const LINKED: &[(&str, &str)] = &[];
const MAPPED: &[(&str, &str)] = &[
    ("SECKILL_CONSOLE_OIDC_OPERATORS", "ops, night"),
    ("SECKILL_CONSOLE_OIDC_SUPERVISORS", "boss"),
    ("SECKILL_CONSOLE_OIDC_CREATE", "on"),
];

async fn console(provider: &Provider, more: &[(&str, &str)]) -> Console {
    let mut settings = vec![
        ("SECKILL_CONSOLE_URL", "https://console.test"),
        ("SECKILL_CONSOLE_OIDC_ISSUER", provider.issuer.as_str()),
        ("SECKILL_CONSOLE_OIDC_CLIENT_ID", CLIENT),
        ("SECKILL_CONSOLE_OIDC_CLIENT_SECRET", SECRET),
    ];
    settings.extend_from_slice(more);
    Console::open_with(&settings).await
}

/// A browser that was sent to the provider.
struct Browser<'a> {
    console: &'a Console,
    cookie: String,
    asked: Asked,
}

/// The first cookie of this name that an answer sets.
fn set(answer: &Answer, name: &str) -> Option<String> {
    let all = answer.headers.get_all("set-cookie").iter();
    let mut all = all.filter_map(|it| it.to_str().ok());
    all.find(|it| it.starts_with(&format!("{name}=")))
        .map(str::to_owned)
}

/// To where a refusal goes, and its code.
#[track_caller]
fn refused(answer: &Answer, status_code: &str) {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let to = format!("/console/?login={status_code}");
    assert_eq!(answer.header("location"), Some(&*to), "{}", answer.body);
    assert_eq!(set(answer, "seckill_console"), None);
    let code = status_code.split('.').next().unwrap();
    assert_eq!(answer.body["code"], code);
    assert!(answer.body["message"].as_str().unwrap().ends_with('.'));
}

impl<'a> Browser<'a> {
    async fn begin(console: &'a Console) -> Self {
        Self::begin_as(console, None).await
    }

    async fn begin_as(console: &'a Console, session: Option<&Session>) -> Self {
        // Each from an address of its own, since logins are counted by address.
        static BEGUN: AtomicU32 = AtomicU32::new(0);
        let [_, _, high, low] = BEGUN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let address = format!("198.18.{high}.{low}");
        let request = console.request(Method::GET, "/ops/api/login/oidc");
        let mut request = request.header("x-real-ip", &address);
        if let Some(session) = session {
            request = request.cookie(session);
        }
        let answer = request.send().await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        let to = answer.header("location").unwrap().to_owned();
        let cookie = set(&answer, "seckill_console_login")
            .unwrap_or_else(|| panic!("no cookie is set on the way to {to}"));
        let (_, query) = to.split_once('?').unwrap();
        let asked = form_urlencoded::parse(query.as_bytes());
        Self {
            console,
            asked: asked.into_owned().collect(),
            cookie: cookie.split(';').next().unwrap().to_owned(),
        }
    }

    /// Comes back from the provider with these parameters.
    async fn come_back(&self, said: &[(&str, &str)]) -> Answer {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(said)
            .finish();
        let path = format!("/ops/api/login/oidc/callback?{query}");
        let request = self.console.request(Method::GET, &path);
        request
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", "cross-site")
            .header("x-real-ip", "203.0.113.7")
            .send()
            .await
    }

    /// Comes back with this code, as the provider sends it.
    async fn with_code(&self, provider: &Provider, code: &str) -> Answer {
        let (state, iss) = (&self.asked["state"], &provider.issuer);
        self.come_back(&[("code", code), ("state", state), ("iss", iss)])
            .await
    }

    async fn with_token(&self, provider: &Provider, token: String) -> Answer {
        let code = provider.grant(&self.asked, token);
        self.with_code(provider, &code).await
    }

    /// Comes back logged in as this subject, with these claims besides.
    async fn as_person(&self, provider: &Provider, subject: &str, more: Value) -> Answer {
        let mut claims = provider.claims(&self.asked, subject);
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.with_token(provider, provider.key.token(&claims)).await
    }
}

async fn log_in(console: &Console, provider: &Provider, subject: &str, more: Value) -> Answer {
    let browser = Browser::begin(console).await;
    browser.as_person(provider, subject, more).await
}

/// The session that a login began, and who it is.
async fn inside(console: &Console, answer: &Answer) -> (Session, Value) {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(answer.header("location"), Some("/console/"));
    let cookie = set(answer, "seckill_console").expect("a session is begun");
    let id = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let mut session = Session {
        id,
        csrf: String::new(),
    };
    let me = console.get(&session, "/ops/api/me").await;
    assert_eq!(me.status, StatusCode::OK, "{}", me.body);
    session.csrf = me.body["csrf"].as_str().unwrap().to_owned();
    (session, me.body)
}

/// Links an account at the console.
async fn link(console: &Console, by: &Session, name: &str, subject: &str) -> Answer {
    let path = format!("/ops/api/accounts/{name}");
    console.put(by, &path, &json!({ "subject": subject })).await
}

#[tokio::test]
async fn whom_a_supervisor_linked_logs_in_and_has_a_session_like_any_other() {
    let provider = Provider::start().await;
    let console = console(&provider, LINKED).await;
    let wang = console.person("wang", Role::Supervisor).await;
    console.account("li", Role::Operator).await;
    let unknown = log_in(&console, &provider, "auth0|7", json!({})).await;
    refused(&unknown, "account_unknown");
    let done = link(&console, &wang, "li", "auth0|7").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);

    let browser = Browser::begin(&console).await;
    let asked = &browser.asked;
    assert_eq!(asked["redirect_uri"], provider::REDIRECT);
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["tenant"], "1", "the endpoint's own parameters stay");
    let answer = browser.as_person(&provider, "auth0|7", json!({})).await;
    let cookie = set(&answer, "seckill_console").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/ops/api", "Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let (li, me) = inside(&console, &answer).await;
    assert_eq!(
        (&me["name"], &me["role"], &me["by"]),
        (&json!("li"), &json!("operator"), &json!("oidc"))
    );

    // It is listed, audited, and ended like any other.
    let path = "/ops/api/sessions/li";
    let listed = console.get(&wang, path).await.body;
    assert_eq!(listed[0]["by"], "oidc", "{listed}");
    assert_eq!(listed[0]["address"], "203.0.113.7");
    let log = console.get(&wang, "/ops/api/audit?target=li").await.body;
    assert_eq!(log["entries"][0]["action"], "session.begin", "{log}");
    let detail = &log["entries"][0]["detail"];
    assert_eq!(
        (&detail["by"], &detail["issuer"], &detail["subject"]),
        (&json!("oidc"), &json!(provider.issuer), &json!("auth0%7C7"))
    );
    assert_eq!(log["entries"][1]["action"], "account.link");
    assert_eq!(
        log["entries"][1]["detail"]["subject"],
        json!([null, "auth0%7C7"])
    );
    let one = format!("{path}/{}", listed[0]["id"].as_str().unwrap());
    let ended = console.request(Method::DELETE, &one).of(&wang).send().await;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.body);
    assert_eq!(
        console.get(&li, "/ops/api/me").await.status,
        StatusCode::UNAUTHORIZED
    );

    // Whose account is disabled or linked no more stays outside.
    let off = json!({ "disabled": true });
    console.put(&wang, "/ops/api/accounts/li", &off).await;
    let disabled = log_in(&console, &provider, "auth0|7", json!({})).await;
    refused(&disabled, "account_disabled");
    let on = json!({ "disabled": false, "subject": "" });
    let done = console.put(&wang, "/ops/api/accounts/li", &on).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let unlinked = log_in(&console, &provider, "auth0|7", json!({})).await;
    refused(&unlinked, "account_unknown");
}

#[tokio::test]
async fn a_person_is_linked_to_one_account_and_no_address_stands_for_them() {
    let provider = Provider::start().await;
    let console = console(&provider, LINKED).await;
    let wang = console.person("wang", Role::Supervisor).await;
    console.account("li@example.com", Role::Operator).await;
    console.account("li", Role::Operator).await;
    let mail =
        json!({ "email": "li@example.com", "email_verified": true, "preferred_username": "li" });
    let answer = log_in(&console, &provider, "7", mail).await;
    refused(&answer, "account_unknown");
    assert_eq!(
        link(&console, &wang, "li", "7").await.status,
        StatusCode::OK
    );
    let taken = link(&console, &wang, "li@example.com", "7").await;
    assert_eq!(taken.body["code"], "subject_taken");
    let own = link(&console, &wang, "wang", "8").await;
    assert_eq!(own.body["code"], "own_account");
    let long = link(&console, &wang, "li", &"x".repeat(256)).await;
    assert_eq!(long.body["mistakes"][0]["code"], "subject_length");
    let plain = Console::open().await;
    let boss = plain.person("boss", Role::Supervisor).await;
    plain.account("li", Role::Operator).await;
    let none = link(&plain, &boss, "li", "7").await;
    assert_eq!(none.body["code"], "no_single_sign_on");
    let off = plain
        .request(Method::GET, "/ops/api/login/oidc")
        .send()
        .await;
    refused(&off, "not_found");
}

#[tokio::test]
async fn a_first_login_makes_an_account_with_the_role_of_the_claim_and_later_ones_follow_it() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    console.account("chen", Role::Supervisor).await;
    let groups =
        |all: &[&str]| json!({ "groups": all, "preferred_username": "chen", "email": "c@e.com" });
    let missing = log_in(&console, &provider, "u1", groups(&["guests"])).await;
    refused(&missing, "role_missing");
    assert_eq!(console.store.accounts().await.unwrap().len(), 1);

    // "chen" is somebody else, and nobody has verified the address.
    let first = log_in(&console, &provider, "u1", groups(&["night"])).await;
    let (operator, me) = inside(&console, &first).await;
    assert_eq!(
        (&me["name"], &me["role"]),
        (&json!("u1"), &json!("operator"))
    );
    assert_eq!(me["must"], Value::Null);
    let by_password = console.try_log_in("u1", "").await;
    assert_eq!(by_password.body["code"], "wrong_login");

    let second = log_in(&console, &provider, "u1", groups(&["night", "boss"])).await;
    let (supervisor, me) = inside(&console, &second).await;
    assert_eq!(
        (&me["name"], &me["role"]),
        (&json!("u1"), &json!("supervisor"))
    );
    eventually("the session of the old role ends", || async {
        let answer = console.get(&operator, "/ops/api/me").await;
        (answer.status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    let log = console.get(&supervisor, "/ops/api/audit?target=u1").await;
    let entries = log.body["entries"].as_array().unwrap();
    let actions: Vec<&str> = entries
        .iter()
        .filter_map(|it| it["action"].as_str())
        .collect();
    assert_eq!(
        actions,
        [
            "session.begin",
            "account.role",
            "session.begin",
            "account.create"
        ]
    );
    assert_eq!(
        entries[1]["detail"]["role"],
        json!(["operator", "supervisor"])
    );
    let lost = log_in(&console, &provider, "u1", groups(&[])).await;
    refused(&lost, "role_missing");

    let verified = json!({ "groups": "ops", "email": "z@e.com", "email_verified": true });
    let third = log_in(&console, &provider, "a b", verified).await;
    assert_eq!(inside(&console, &third).await.1["name"], "z@e.com");
    let nameless = log_in(&console, &provider, "c d", json!({ "groups": ["ops"] })).await;
    let name = inside(&console, &nameless).await.1["name"].clone();
    assert!(name.as_str().unwrap().starts_with("sso-"), "{name}");
}

#[tokio::test]
async fn a_second_login_in_a_browser_ends_the_session_before_it() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    let ops = || json!({ "groups": ["ops"] });
    let (first, _) = inside(&console, &log_in(&console, &provider, "u1", ops()).await).await;
    let browser = Browser::begin_as(&console, Some(&first)).await;
    let answer = browser.as_person(&provider, "u1", ops()).await;
    inside(&console, &answer).await;
    let old = console.get(&first, "/ops/api/me").await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
}
