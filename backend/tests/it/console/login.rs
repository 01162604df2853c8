//! Logging in, staying logged in, and what an attacker tries.

use axum::http::{Method, StatusCode};
use seckill::console::login_attempts::MOST_BY_ACCOUNT;
use seckill::store::accounts::Role;
use serde_json::json;

use crate::common;
use crate::common::console::Console;

#[tokio::test]
async fn logging_in_sets_a_cookie_that_no_script_reads_and_no_other_site_sends() {
    let console = Console::open().await;
    let li = console.account("li", Role::Operator).await;
    let (cookie, me) = console.log_in(&li).await;
    for part in ["HttpOnly", "SameSite=Strict", "Path=/ops/api"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(
        (&me["name"], &me["role"]),
        (&json!("li"), &json!("operator"))
    );
    let id = cookie.split(['=', ';']).nth(1).unwrap();
    assert_eq!(id.len(), 64, "{id}");
    let kept = console.redis_keys("seckill::console::session::*").await;
    assert_eq!(kept.len(), 1);
    assert!(
        !kept[0].contains(id),
        "Redis must not hold what logs somebody in"
    );
}

#[tokio::test]
async fn without_a_login_every_path_asks_for_one_and_a_wrong_password_says_nothing_more() {
    let console = Console::open().await;
    console.account("li", Role::Operator).await;
    for (method, path) in [
        (Method::GET, "/ops/api/me"),
        (Method::POST, "/ops/api/logout"),
    ] {
        let answer = console.request(method, path).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.body["code"], "login_required", "{path}");
    }
    let wrong = console.try_log_in("li", "wrong password").await;
    let nobody = console.try_log_in("nobody", "wrong password").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.body["code"], "wrong_login");
    assert_eq!(
        wrong.body, nobody.body,
        "a response must not reveal which names exist"
    );
}

#[tokio::test]
async fn forged_requests_are_refused_whatever_they_lack() {
    let console = Console::open().await;
    let li = console.account("li", Role::Operator).await;
    let someone = console.enter(&li).await;
    let logout = || console.request(Method::POST, "/ops/api/logout");
    let forged = [
        ("no token", logout().cookie(&someone)),
        (
            "a wrong token",
            logout()
                .cookie(&someone)
                .header("x-seckill-csrf", &"0".repeat(64)),
        ),
        (
            "another origin",
            logout()
                .of(&someone)
                .header("origin", "http://evil.example"),
        ),
        (
            "the shop's origin",
            logout()
                .of(&someone)
                .header("origin", "http://console.test:8080"),
        ),
        (
            "an opaque origin",
            logout().of(&someone).header("origin", "null"),
        ),
        (
            "another site",
            logout().of(&someone).header("sec-fetch-site", "cross-site"),
        ),
    ];
    for (what, request) in forged {
        let answer = request.send().await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
        assert_eq!(answer.body["code"], "foreign_request", "{what}");
    }
    let me = console
        .request(Method::GET, "/ops/api/me")
        .of(&someone)
        .send()
        .await;
    assert_eq!(me.status, StatusCode::OK, "nothing was done");

    // A victim logged in as the attacker would type into a foreign account.
    let login = console
        .request(Method::POST, "/ops/api/login")
        .header("origin", "http://evil.example")
        .json(&json!({ "name": "li", "password": li.password }));
    assert_eq!(login.send().await.status, StatusCode::FORBIDDEN);
    let form = console
        .request(Method::POST, "/ops/api/login")
        .header("content-type", "text/plain")
        .text(&json!({ "name": "li", "password": li.password }).to_string());
    assert_eq!(form.send().await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_planted_session_id_is_worth_nothing_and_each_login_gets_a_new_one() {
    let console = Console::open().await;
    let li = console.account("li", Role::Operator).await;
    let planted = "ab".repeat(32);
    let with_planted = console
        .request(Method::POST, "/ops/api/login")
        .header("cookie", &format!("seckill_console={planted}"))
        .json(&json!({ "name": "li", "password": li.password }));
    let answer = with_planted.send().await;
    assert_eq!(answer.status, StatusCode::OK);
    let given = answer.session();
    assert_ne!(given.id, planted);
    let as_planted = console
        .request(Method::GET, "/ops/api/me")
        .header("cookie", &format!("seckill_console={planted}"));
    assert_eq!(as_planted.send().await.status, StatusCode::UNAUTHORIZED);

    // A second login in the same browser ends the first session.
    let again = console
        .request(Method::POST, "/ops/api/login")
        .cookie(&given)
        .json(&json!({ "name": "li", "password": li.password }));
    let second = again.send().await.session();
    assert_ne!(second.id, given.id);
    let old = console
        .request(Method::GET, "/ops/api/me")
        .of(&given)
        .send()
        .await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn guessing_a_password_ends_after_ten_tries_even_if_they_come_at_once() {
    let console = Console::open().await;
    let li = console.account("li", Role::Operator).await;
    let mut attempts = tokio::task::JoinSet::new();
    for guess in 0..30 {
        let console = console.clone();
        attempts.spawn(async move {
            console
                .try_log_in("li", &format!("guess number {guess}"))
                .await
                .status
        });
    }
    let answers = attempts.join_all().await;
    let looked_at = answers.iter().filter(|it| **it == StatusCode::UNAUTHORIZED);
    assert_eq!(looked_at.count() as u64, MOST_BY_ACCOUNT);
    let right = console.try_log_in("li", &li.password).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(right.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);

    // Other accounts are not locked out with this one.
    let wang = console.account("wang", Role::Supervisor).await;
    assert_eq!(
        console.try_log_in("wang", &wang.password).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn one_address_that_tries_many_names_is_stopped_too() {
    let console = Console::open().await;
    let mut last = StatusCode::OK;
    for guess in 0..60 {
        let request = console
            .request(Method::POST, "/ops/api/login")
            .header("x-real-ip", "203.0.113.7")
            .json(&json!({ "name": format!("name{guess}"), "password": "password one" }));
        last = request.send().await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let elsewhere = console.try_log_in("name1", "password one").await;
    assert_eq!(elsewhere.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_removed_account_and_a_new_password_end_the_sessions() {
    let console = Console::open().await;
    let (li, wang) = (
        console.account("li", Role::Operator).await,
        console.account("wang", Role::Operator).await,
    );
    let (li, wang) = (console.enter(&li).await, console.enter(&wang).await);
    assert!(console.store.remove_account("li").await.unwrap());
    let hash = seckill::console::passwords::hash_password("another password").unwrap();
    assert!(console.store.set_password("wang", &hash, 1).await.unwrap());
    for session in [&li, &wang] {
        common::eventually("the session ends", || async {
            let me = console
                .request(Method::GET, "/ops/api/me")
                .of(session)
                .send()
                .await;
            (me.status == StatusCode::UNAUTHORIZED).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_that_was_logged_out_is_over() {
    let console = Console::open().await;
    let li = console.account("li", Role::Operator).await;
    let session = console.enter(&li).await;
    let out = console
        .request(Method::POST, "/ops/api/logout")
        .of(&session)
        .send()
        .await;
    assert_eq!(out.status, StatusCode::OK);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    let me = console
        .request(Method::GET, "/ops/api/me")
        .of(&session)
        .send()
        .await;
    assert_eq!(me.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_operator_uploads_a_picture_and_nothing_else() {
    let console = Console::open().await;
    let operator = console.person("olive", Role::Operator).await;
    let upload = async |bytes: Vec<u8>| {
        let upload = console.request(Method::POST, "/ops/api/pictures");
        upload.of(&operator).bytes(bytes).send().await
    };
    let mut photo = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_pixel(600, 450, image::Rgb([200, 30, 20]));
    pixels
        .write_to(&mut photo, image::ImageFormat::Png)
        .unwrap();
    let photo = photo.into_inner();

    let answer = upload(photo.clone()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let name = answer.body["picture"].as_str().unwrap();
    assert!(name.ends_with("-600x450"), "{name}");
    for address in answer.body["addresses"].as_array().unwrap() {
        let address = address.as_str().unwrap();
        let file = console
            .config
            .pages_dir()
            .join(address.trim_start_matches('/'));
        assert!(file.is_file(), "{}", file.display());
    }

    let announced = console
        .request(Method::POST, "/ops/api/pictures")
        .of(&operator);
    let announced = announced.header("content-length", &(30 << 20).to_string());
    let answer = announced.bytes(vec![0xff; 30 << 20]).send().await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains("30 MB and may have 12 MB"), "{message}");
    let answer = upload(vec![0xff; 30 << 20]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains("may have 12 MB"), "{message}");
    let answer = upload(b"<svg onload=alert(1)>".to_vec()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);

    let stranger = console
        .request(Method::POST, "/ops/api/pictures")
        .bytes(photo.clone());
    assert_eq!(stranger.send().await.status, StatusCode::UNAUTHORIZED);
    let forged = console
        .request(Method::POST, "/ops/api/pictures")
        .cookie(&operator)
        .bytes(photo);
    assert_eq!(forged.send().await.status, StatusCode::FORBIDDEN);
}
