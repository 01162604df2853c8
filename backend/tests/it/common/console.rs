//! A console of a test's own: Redis, a database, accounts, and requests as a
//! browser sends them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, request};
use http_body_util::BodyExt as _;
use redis::AsyncCommands as _;
use seckill::config::{Config, gather};
use seckill::console::passwords::hash_password;
use seckill::console::{self, ConsoleState};
use seckill::redis::RedisLink;
use seckill::redis::segments::Segments;
use seckill::store::accounts::Role;
use seckill::store::{LazyStore, Store};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::TestRedis;
use super::database;

/// A console with its Redis and database; cloning it is cheap.
#[derive(Clone)]
pub struct Console {
    pub app: Router,
    pub store: Store,
    pub link: RedisLink,
    pub config: Config,
    pub database_url: String,
    _keep: Arc<(TestRedis, TempDir)>,
}

/// An account and its password.
pub struct Login {
    pub name: String,
    pub password: String,
}

/// A browser that is logged in.
#[derive(Debug, Clone)]
pub struct Session {
    pub id: String,
    pub csrf: String,
}

/// A response, its body read as JSON.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The session that a login's answer begins.
    pub fn session(&self) -> Session {
        let cookie = self.header("set-cookie").expect("a cookie is set");
        Session {
            id: cookie.split(['=', ';']).nth(1).unwrap().to_owned(),
            csrf: self.body["csrf"].as_str().unwrap().to_owned(),
        }
    }
}

impl Console {
    pub async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// With these settings, each as a variable and its value.
    pub async fn open_with(settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let database_url = database::place(folder.path()).await;
        let store = Store::open(&database_url).await.unwrap();
        let lazy = LazyStore::opened(store.clone());
        let console = Self::open_so(folder, store, lazy, settings).await;
        Self {
            database_url,
            ..console
        }
    }

    /// On a database that may come and go.
    pub async fn open_on(folder: TempDir, store: Store, lazy: LazyStore) -> Self {
        Self::open_so(folder, store, lazy, &[]).await
    }

    async fn open_so(
        folder: TempDir,
        store: Store,
        lazy: LazyStore,
        settings: &[(&str, &str)],
    ) -> Self {
        let redis = TestRedis::start().await;
        let link = redis.link().await;
        let data = (
            "SECKILL_DATA".to_owned(),
            folder.path().display().to_string(),
        );
        let more = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables: Vec<_> = std::iter::once(data).chain(more).collect();
        let config = Config::from_layers(gather(None, &variables, Vec::new()).unwrap()).unwrap();
        let segments = Segments::on(link.clone());
        let state = ConsoleState::new(&config, link.clone(), segments, lazy);
        Self {
            app: console::router(state),
            store,
            link,
            config,
            database_url: String::new(),
            _keep: Arc::new((redis, folder)),
        }
    }

    /// Renders the pages, as the renderer of the ops role does.
    pub async fn render(&self) {
        let shop = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../html/static");
        let options = seckill::pages::Options::new(&shop, &self.config.pages_dir());
        let renderer = seckill::pages::Renderer::open(options).unwrap();
        renderer.catch_up(&self.link).await.unwrap();
    }

    pub async fn account(&self, name: &str, role: Role) -> Login {
        let password = format!("password of {name}");
        let hash = hash_password(&password).unwrap();
        let added = self.store.add_account(name, role, &hash, false, 1).await;
        assert!(added.unwrap());
        Login {
            name: name.to_owned(),
            password,
        }
    }

    /// Makes an account and logs in with it.
    pub async fn person(&self, name: &str, role: Role) -> Session {
        let login = self.account(name, role).await;
        self.enter(&login).await
    }

    pub async fn try_log_in(&self, name: &str, password: &str) -> Answer {
        let login = serde_json::json!({ "name": name, "password": password });
        self.request(Method::POST, "/ops/api/login")
            .json(&login)
            .send()
            .await
    }

    /// The cookie as it was set, and the answer.
    pub async fn log_in(&self, login: &Login) -> (String, Value) {
        let answer = self.try_log_in(&login.name, &login.password).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        (answer.header("set-cookie").unwrap().to_owned(), answer.body)
    }

    pub async fn enter(&self, login: &Login) -> Session {
        let answer = self.try_log_in(&login.name, &login.password).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.session()
    }

    pub fn request(&self, method: Method, path: &str) -> PendingRequest {
        let builder = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "console.test:8081");
        PendingRequest {
            app: self.app.clone(),
            builder,
            body: Body::empty(),
        }
    }

    pub async fn get(&self, session: &Session, path: &str) -> Answer {
        self.request(Method::GET, path).of(session).send().await
    }

    pub async fn post(&self, session: &Session, path: &str, body: &Value) -> Answer {
        self.request(Method::POST, path)
            .of(session)
            .json(body)
            .send()
            .await
    }

    pub async fn put(&self, session: &Session, path: &str, body: &Value) -> Answer {
        self.request(Method::PUT, path)
            .of(session)
            .json(body)
            .send()
            .await
    }

    pub async fn redis_keys(&self, pattern: &str) -> Vec<String> {
        let mut conn = self.link.conn().await.unwrap();
        conn.keys(pattern).await.unwrap()
    }
}

/// A request that is being made.
pub struct PendingRequest {
    app: Router,
    builder: request::Builder,
    body: Body,
}

impl PendingRequest {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// With somebody's cookie alone, as a forged request would have it.
    pub fn cookie(self, session: &Session) -> Self {
        self.header("cookie", &format!("seckill_console={}", session.id))
    }

    /// The request as the console's own pages send it.
    pub fn of(self, session: &Session) -> Self {
        self.cookie(session).header("x-seckill-csrf", &session.csrf)
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .text(&body.to_string())
    }

    pub fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = Body::from(body);
        self
    }

    pub fn text(mut self, body: &str) -> Self {
        self.body = Body::from(body.to_owned());
        self
    }

    pub async fn send(self) -> Answer {
        let request = self.builder.body(self.body).unwrap();
        let response = self.app.oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer {
            status,
            headers,
            body,
        }
    }
}
