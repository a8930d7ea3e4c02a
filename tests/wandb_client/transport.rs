//! Retries, deadlines, refusals, and what a message may not say.

use std::time::{Duration, Instant};

use serde_json::json;
use wandbfs::model::{EntityName, Error, ErrorKind, Hub};
use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};

use crate::double::{Answer, Double, KEY};

async fn viewer_double() -> Double {
    Double::start(|_| {
        Answer::data(json!({ "viewer": { "id": "u", "username": "me", "entity": "me" } }))
    })
    .await
}

async fn failure(answer: Answer) -> Error {
    let double = Double::start(move |_| answer.clone()).await;
    double
        .client_within(Duration::from_millis(700))
        .viewer()
        .await
        .unwrap_err()
}

#[tokio::test]
async fn passing_failures_are_tried_again_and_each_try_is_counted() {
    let double = viewer_double().await;
    // Each asks for no wait, so that the test is quick.
    let at_once = |answer: Answer| answer.with_header("retry-after", "0");
    let truncated = Answer::status(200, r#"{"data":{"viewer":{"#);
    double.first([
        at_once(Answer::status(503, "busy")),
        at_once(Answer::status(429, "")),
        at_once(Answer::error("rate limit exceeded")),
        at_once(truncated),
    ]);
    let client = double.client();
    assert_eq!(client.viewer().await.unwrap().username.unwrap(), "me");
    assert_eq!(double.asked().len(), 5);
    assert_eq!(client.meter().requests(), 5);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let double = viewer_double().await;
    double.first([Answer::status(429, "").with_header("retry-after", "0.6")]);
    let started = Instant::now();
    double.client().viewer().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn a_wait_that_passes_the_deadline_is_not_begun() {
    let double = viewer_double().await;
    double.first([Answer::status(503, "").with_header("retry-after", "60")]);
    let started = Instant::now();
    let error = double
        .client_within(Duration::from_secs(5))
        .viewer()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_server_that_stalls_meets_the_deadline() {
    let double = Double::start(|_| Answer::data(json!({})).after(Duration::from_secs(60))).await;
    let started = Instant::now();
    let error = double
        .client_within(Duration::from_millis(500))
        .viewer()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_a_network_error_within_the_deadline() {
    let started = Instant::now();
    let error = failure(Answer::status(500, r#"{"error":"out of order"}"#)).await;
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(
        error.chain().contains("500: out of order"),
        "{}",
        error.chain()
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn final_refusals_are_not_repeated_and_tell_the_servers_reason() {
    for (answer, kind, words) in [
        (
            Answer::status(401, "invalid api key\n"),
            ErrorKind::NotSignedIn,
            "invalid api key",
        ),
        (
            Answer::status(403, r#"{"errors":["no"]}"#),
            ErrorKind::Forbidden,
            "403: no",
        ),
        (Answer::status(404, "<html/>"), ErrorKind::NotFound, "404"),
        (
            Answer::status(400, r#"{"error":{"message":"bad filter"}}"#),
            ErrorKind::Invalid,
            "bad",
        ),
        (
            Answer::error("permission denied"),
            ErrorKind::Forbidden,
            "permission denied",
        ),
        (
            Answer::error("something odd"),
            ErrorKind::Invalid,
            "something odd",
        ),
        (
            Answer::status(200, "<html>welcome</html>"),
            ErrorKind::Invalid,
            "not readable",
        ),
        (
            Answer::data(json!({ "viewer": null })),
            ErrorKind::NotSignedIn,
            "no user",
        ),
    ] {
        let double = Double::start(move |_| answer.clone()).await;
        let error = double.client().viewer().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.chain().contains(words), "{}", error.chain());
        assert_eq!(double.asked().len(), 1, "{words}");
    }
}

#[tokio::test]
async fn a_redirect_names_the_host_to_use_and_follows_with_no_key() {
    let redirect = Answer::status(301, "").with_header("location", "https://api.example.test/x");
    let error = failure(redirect).await;
    assert!(
        error.chain().contains("https://api.example.test"),
        "{}",
        error.chain()
    );
}

#[tokio::test]
async fn a_host_that_never_answered_is_given_up_long_before_the_deadline() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let base_url = format!("http://127.0.0.1:{port}").parse().unwrap();
    let mut config = ClientConfig::new(base_url, Authorization::Basic(Secret::new(KEY)));
    config.deadline = Duration::from_secs(30);
    let started = Instant::now();
    let error = Client::connect(config).unwrap().viewer().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(
        error
            .chain()
            .contains(&format!("no answer from 127.0.0.1:{port}"))
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn the_key_goes_to_the_base_url_only_and_into_no_message() {
    let double = Double::start(|_| Answer::status(403, "see http://x/?sig=secret")).await;
    let client = double.client();
    let error = client
        .entity(&EntityName::new("e").unwrap())
        .await
        .unwrap_err();
    let asked = double.asked();
    let sent = asked[0].authorization.as_deref().unwrap();
    assert!(sent.starts_with("Basic "));
    for text in [error.chain(), format!("{error:?}"), format!("{client:?}")] {
        assert!(!text.contains(KEY) && !text.contains(&sent[6..]), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    let log = String::from_utf8(client.meter().requests_log()).unwrap();
    assert!(
        log.contains(r#""operation":"GetEntity""#) && log.contains("403"),
        "{log}"
    );
    let own = format!("{}/artifacts/e/00", double.base_url)
        .parse()
        .unwrap();
    let foreign = "http://storage.example.test/x".parse().unwrap();
    assert_eq!(client.authorized_headers(&own).await.unwrap().len(), 1);
    assert!(
        client
            .authorized_headers(&foreign)
            .await
            .unwrap()
            .is_empty()
    );
}
