//! The embedded server as a client meets it: credentials, signed URLs, ranges, the download
//! handler, the test controls, and its life on one data directory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Write as _;
use std::time::{Duration, Instant};

use common::{Harness, md5, md5_hex};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use wandbfs::server::{ServeError, ServerOptions, start};

const TEN: &[u8] = b"0123456789";

#[tokio::test]
async fn the_first_key_lasts_and_belongs_to_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let harness = Harness::new().await;
    let key = harness.server.api_key().to_owned();
    assert!(key.len() == 40 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));
    for secret in ["api-key", "url-secret"] {
        let mode = harness
            .dir
            .path()
            .join(secret)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    harness.server.shutdown().await;
    let again = start(ServerOptions::new(harness.dir.path())).await.unwrap();
    assert_eq!(again.api_key(), key);
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused() {
    let harness = Harness::new().await;
    let second = start(ServerOptions::new(harness.dir.path())).await;
    assert!(matches!(second, Err(ServeError::Busy(_))), "{second:?}");
}

#[tokio::test]
async fn graphql_wants_a_key_and_says_so_in_json() {
    let harness = Harness::new().await;
    let body = json!({"query": "{ viewer { username entity } }"});
    let post = || harness.http.post(harness.url("/graphql")).json(&body);
    for request in [
        post(),
        post().basic_auth("api", Some("0".repeat(40))),
        post().bearer_auth("nonsense"),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        let answer: Value = response.json().await.unwrap();
        assert!(answer["errors"][0]["message"].is_string(), "{answer}");
    }
    let basic = post().basic_auth("api", Some(harness.server.api_key()));
    let bearer = post().bearer_auth(harness.server.api_key());
    for request in [basic, bearer] {
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["data"]["viewer"]["entity"], harness.server.entity());
    }
}

#[tokio::test]
async fn compressed_bodies_are_read() {
    let harness = Harness::new().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(b"{\"query\": \"{ viewer { username } }\"}")
        .unwrap();
    let response = harness
        .signed_in(Method::POST, "/graphql")
        .header(header::CONTENT_ENCODING, "gzip")
        .body(encoder.finish().unwrap())
        .send()
        .await
        .unwrap();
    let answer: Value = response.json().await.unwrap();
    assert!(answer["data"]["viewer"]["username"].is_string(), "{answer}");
}

#[tokio::test]
async fn unknown_paths_are_404_in_json_and_test_paths_are_unknown_without_the_flag() {
    let harness = Harness::with(None, false).await;
    for path in [
        "/",
        "/login",
        "/files/a/b/c/other",
        "/_test/requests",
        "/_test/knobs",
    ] {
        let response = harness.get(&harness.url(path), &[]).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/json",
            "{path}"
        );
    }
    let users = harness
        .http
        .post(harness.url("/_test/users"))
        .send()
        .await
        .unwrap();
    assert_eq!(users.status(), 404);
    let wrong = harness.get(&harness.url("/graphql"), &[]).await;
    assert_eq!(wrong.status(), 405);
}

#[tokio::test]
async fn a_file_stream_is_taken_from_whoever_has_a_key() {
    let harness = Harness::new().await;
    let path = "/files/e/p/r/file_stream";
    let anonymous = harness
        .http
        .post(harness.url(path))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(anonymous.status(), 401);
    let answer = harness
        .signed_in(Method::POST, path)
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({}));
}

#[tokio::test]
async fn content_is_served_whole_and_in_ranges_under_its_tag() {
    let harness = Harness::new().await;
    let version = harness.log("c", &[("a/ten.txt", TEN)]).await;
    let url = harness.file_url(&version, "a/ten.txt").await;
    let whole = harness.get(&url, &[]).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.headers()[header::ACCEPT_RANGES], "bytes");
    let etag = whole.headers()[header::ETAG].to_str().unwrap().to_owned();
    assert_eq!(etag, format!("\"{}\"", md5_hex(TEN)));
    assert_eq!(whole.bytes().await.unwrap(), TEN);

    let part = harness.get(&url, &[("range", "bytes=2-4")]).await;
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()[header::CONTENT_RANGE], "bytes 2-4/10");
    assert_eq!(part.headers()[header::CONTENT_LENGTH], "3");
    assert_eq!(part.bytes().await.unwrap(), "234");
    let beyond = harness.get(&url, &[("range", "bytes=10-")]).await;
    assert_eq!(beyond.status(), 416);
    assert_eq!(beyond.headers()[header::CONTENT_RANGE], "bytes */10");
    for (headers, status) in [
        (
            vec![("if-none-match", etag.as_str())],
            StatusCode::NOT_MODIFIED,
        ),
        (
            vec![("if-match", "\"other\"")],
            StatusCode::PRECONDITION_FAILED,
        ),
        (
            vec![("range", "bytes=1-1"), ("if-range", etag.as_str())],
            StatusCode::PARTIAL_CONTENT,
        ),
        (
            vec![("range", "bytes=1-1"), ("if-range", "\"other\"")],
            StatusCode::OK,
        ),
    ] {
        assert_eq!(
            harness.get(&url, &headers).await.status(),
            status,
            "{headers:?}"
        );
    }
    let head = harness.http.head(&url).send().await.unwrap();
    assert_eq!(head.headers()[header::CONTENT_LENGTH], "10");
    assert_eq!(head.bytes().await.unwrap(), "");
}

#[tokio::test]
async fn a_signed_url_works_for_one_object_one_method_and_one_signature() {
    let harness = Harness::new().await;
    let version = harness.log("c", &[("a", b"a"), ("b", b"b")]).await;
    let a = harness.file_url(&version, "a").await;
    let b = harness.file_url(&version, "b").await;
    assert!(a.contains("/wandb_artifacts/"));
    let (path, query) = a.split_once('?').unwrap();
    let (other, _) = b.split_once('?').unwrap();
    assert_ne!(path, other);
    assert_eq!(harness.get(path, &[]).await.status(), 403);
    assert_eq!(
        harness.get(&format!("{other}?{query}"), &[]).await.status(),
        403
    );
    assert_eq!(harness.put(&a, &[], b"a".to_vec()).await.status(), 403);
    let later = query.replacen("expires=", "expires=9", 1);
    assert_eq!(
        harness.get(&format!("{path}?{later}"), &[]).await.status(),
        403
    );
    let manifest = harness.manifest_url(&version).await;
    assert!(manifest.contains("wandb_manifest.json") && !manifest.contains("wandb_artifacts/"));
    let manifest: Value = harness.get(&manifest, &[]).await.json().await.unwrap();
    assert_eq!(manifest["contents"]["a"]["digest"], md5(b"a"));
}

#[tokio::test]
async fn uploads_are_checked_before_they_count() {
    let harness = Harness::new().await;
    let version = harness.begin("c", "00000000000000000000000000000001").await;
    let node = harness.place(&version, "x", b"right").await;
    let url = node["uploadUrl"].as_str().unwrap();
    let wrong = md5(b"other");
    let refused = harness
        .put(url, &[("content-md5", &wrong)], b"right".to_vec())
        .await;
    assert_eq!(refused.status(), 400);
    assert_eq!(harness.put(url, &[], b"wrong".to_vec()).await.status(), 400);
    assert!(harness.place(&version, "x", b"right").await["uploadUrl"].is_string());
    let right = md5(b"right");
    let taken = harness
        .put(url, &[("content-md5", &right)], b"right".to_vec())
        .await;
    assert_eq!(taken.status(), 200);
    assert!(taken.headers().contains_key(header::ETAG));
    assert_eq!(
        harness.place(&version, "x", b"right").await["uploadUrl"],
        Value::Null
    );
}

#[tokio::test]
async fn urls_and_versions_survive_a_restart_and_hosts_follow_the_request() {
    let harness = Harness::new().await;
    let version = harness.log("c", &[("a", TEN)]).await;
    let url = harness.file_url(&version, "a").await;
    let path = url
        .strip_prefix(harness.server.base_url())
        .unwrap()
        .to_owned();
    let port = harness
        .server
        .base_url()
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    let body = json!({"query": "query($id: ID!) { artifact(id: $id) { currentManifest { file { directUrl } } } }",
        "variables": {"id": version.id}});
    let answer: Value = harness
        .signed_in(Method::POST, "/graphql")
        .header(header::HOST, format!("localhost:{port}"))
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let named = answer["data"]["artifact"]["currentManifest"]["file"]["directUrl"]
        .as_str()
        .unwrap();
    assert!(
        named.starts_with(&format!("http://localhost:{port}/")),
        "{named}"
    );

    let Harness { server, http, dir } = harness;
    server.shutdown().await;
    let server = start(ServerOptions::new(dir.path())).await.unwrap();
    let again = http
        .get(format!("{}{path}", server.base_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(again.bytes().await.unwrap(), TEN);
}

#[tokio::test]
async fn the_download_handler_redirects_in_all_its_layouts() {
    let harness = Harness::new().await;
    harness.log("c", &[("a#?%", TEN)]).await;
    let (entity, hex) = (harness.server.entity().to_owned(), md5_hex(TEN));
    for path in [
        format!("/artifacts/{entity}/{hex}"),
        format!("/artifactsV2/default/{entity}/p/c/QXJ0/QmlydA%3D%3D/{hex}/a"),
        format!("/artifactsV2/default/{entity}/p/c/QX/J0/{hex}/a"),
        format!("/artifactsV2/default/{entity}//{hex}/a?%"),
    ] {
        assert_eq!(
            harness.get(&harness.url(&path), &[]).await.status(),
            401,
            "{path}"
        );
        let answer = harness.signed_in(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), 302, "{path}");
        let location = answer.headers()[header::LOCATION].to_str().unwrap();
        assert_eq!(
            harness.get(location, &[]).await.bytes().await.unwrap(),
            TEN,
            "{path}"
        );
    }
    let missing = format!("/artifacts/{entity}/{}", "0".repeat(32));
    let answer = harness
        .signed_in(Method::GET, &missing)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn an_identity_token_becomes_an_access_token() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let harness = Harness::new().await;
    let token = |sub: &str| {
        format!(
            "e30.{}.c2ln",
            URL_SAFE_NO_PAD.encode(json!({ "sub": sub }).to_string())
        )
    };
    let exchange = |assertion: String| {
        let form = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
            ),
            ("assertion", assertion),
        ];
        harness
            .http
            .post(harness.url("/oidc/token"))
            .form(&form)
            .send()
    };
    assert_eq!(exchange(token("nobody")).await.unwrap().status(), 401);
    assert_eq!(exchange("rubbish".into()).await.unwrap().status(), 400);
    let answer = exchange(token(harness.server.entity())).await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert!(answer["expires_in"].as_u64().unwrap() > 300);
    let viewer: Value = harness
        .http
        .post(harness.url("/graphql"))
        .bearer_auth(answer["access_token"].as_str().unwrap())
        .json(&json!({"query": "{ viewer { entity } }"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(viewer["data"]["viewer"]["entity"], harness.server.entity());
}

#[tokio::test]
async fn identity_tokens_are_refused_where_nobody_asked_for_them() {
    let harness = Harness::with(None, false).await;
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", "x"),
    ];
    let answer = harness
        .http
        .post(harness.url("/oidc/token"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn counters_count_each_class_and_start_over() {
    let harness = Harness::new().await;
    let version = harness.log("c", &[("a", TEN)]).await;
    let reset = harness
        .http
        .delete(harness.url("/_test/requests"))
        .send()
        .await
        .unwrap();
    assert_eq!(reset.status(), 204);
    let manifest = harness.manifest_url(&version).await;
    let size = harness
        .get(&manifest, &[])
        .await
        .bytes()
        .await
        .unwrap()
        .len();
    let url = harness.file_url(&version, "a").await;
    harness
        .get(&url, &[("range", "bytes=0-3")])
        .await
        .bytes()
        .await
        .unwrap();
    let counted = harness.requests().await;
    assert_eq!(counted["graphql"], 2);
    assert_eq!(counted["manifest"], 1);
    assert_eq!(counted["blob"], 1);
    assert_eq!(counted["upload"], 0);
    assert_eq!(counted["bytes"], size + 4);
    assert_eq!(
        counted["by_operation"],
        json!({"": 1, "FetchArtifactManifest": 1})
    );
}

#[tokio::test]
async fn each_kind_of_fault_does_what_its_name_says() {
    let harness = Harness::new().await;
    let version = harness.log("c", &[("a", TEN)]).await;
    let url = harness.file_url(&version, "a").await;
    let fault = async |fault: Value| harness.knobs(json!({ "faults": [fault] })).await;

    fault(json!({"match": "blob", "skip": 1, "kind": "status", "status": 429, "retry_after": 2}))
        .await;
    assert_eq!(harness.get(&url, &[]).await.status(), 200);
    let refused = harness.get(&url, &[]).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"2".parse().unwrap())
    );
    assert_eq!(harness.get(&url, &[]).await.status(), 200);

    fault(json!({"match": "blob", "kind": "expire"})).await;
    assert_eq!(harness.get(&url, &[]).await.status(), 403);

    fault(json!({"match": "blob", "kind": "corrupt"})).await;
    let corrupt = harness.get(&url, &[]).await;
    assert_eq!(
        corrupt.headers()[header::ETAG],
        format!("\"{}\"", md5_hex(TEN)).as_str()
    );
    let corrupt = corrupt.bytes().await.unwrap();
    assert!(corrupt.len() == TEN.len() && corrupt != TEN);

    fault(json!({"match": "blob", "kind": "truncate"})).await;
    let mut cut = harness.get(&url, &[]).await;
    assert_eq!(cut.headers()[header::CONTENT_LENGTH], "10");
    assert_eq!(cut.chunk().await.unwrap().unwrap(), "01234");
    assert!(cut.chunk().await.is_err());

    fault(json!({"match": "viewer", "kind": "status"})).await;
    let body = json!({"query": "query Q { viewer { id } }"});
    let ask = || {
        harness
            .signed_in(Method::POST, "/graphql")
            .json(&body)
            .send()
    };
    assert_eq!(ask().await.unwrap().status(), 503);
    assert_eq!(ask().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_reset_arrives_as_a_reset() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let harness = Harness::new().await;
    harness
        .knobs(json!({"faults": [{"match": "graphql", "kind": "reset"}]}))
        .await;
    let address = harness.server.base_url().strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = "{\"query\": \"{ viewer { id } }\"}";
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let error = stream.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stalled_request_waits_until_the_knobs_are_cleared() {
    let harness = Harness::new().await;
    harness
        .knobs(json!({"faults": [{"match": "Slow", "kind": "stall"}]}))
        .await;
    let body = json!({"query": "query Slow { viewer { id } }"});
    let request = harness.signed_in(Method::POST, "/graphql").json(&body);
    let stalled = tokio::spawn(request.send());
    let deadline = Instant::now() + Duration::from_secs(10);
    while harness.requests().await["by_operation"]["Slow"] != 1 {
        assert!(Instant::now() < deadline, "the request never arrived");
        tokio::task::yield_now().await;
    }
    // Another operation passes meanwhile, so it is this request that is held and not the server.
    harness.data("{ viewer { id } }", json!({})).await;
    assert!(!stalled.is_finished());
    harness.knobs(json!({})).await;
    assert_eq!(stalled.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn latency_and_bandwidth_slow_answers_down() {
    let harness = Harness::new().await;
    let content = vec![7; 100_000];
    let version = harness.log("c", &[("a", &content)]).await;
    let url = harness.file_url(&version, "a").await;
    harness
        .knobs(json!({"latency_ms": 100, "bytes_per_s": 500_000}))
        .await;
    let begin = Instant::now();
    assert_eq!(harness.get(&url, &[]).await.bytes().await.unwrap(), content);
    assert!(
        begin.elapsed() >= Duration::from_millis(290),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn accounts_and_teams_can_be_made() {
    let harness = Harness::new().await;
    let post = |path: &str, body: Value| harness.http.post(harness.url(path)).json(&body).send();
    let user: Value = post("/_test/users", json!({"username": "ann"}))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(user["username"], "ann", "{user}");
    let key = user["api_key"].as_str().unwrap();
    let again = post("/_test/users", json!({"username": "ann"}))
        .await
        .unwrap();
    assert_eq!(again.status(), 409);
    let members = json!([{"username": "ann", "role": "member"}]);
    let team = post(
        "/_test/teams",
        json!({"team": "red", "org": "acme", "members": members}),
    );
    let team: Value = team.await.unwrap().json().await.unwrap();
    assert_eq!(
        (&team["team"], &team["org"]),
        (&json!("red"), &json!("acme"))
    );
    assert!(team["org_entity"].is_string());
    let viewer: Value = harness
        .http
        .post(harness.url("/graphql"))
        .basic_auth("api", Some(key))
        .json(&json!({"query": "{ viewer { entity teams { edges { node { name } } } } }"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(viewer["data"]["viewer"]["entity"], user["entity"]);
    let teams = viewer["data"]["viewer"]["teams"]["edges"]
        .as_array()
        .unwrap();
    assert!(
        teams.iter().any(|edge| edge["node"]["name"] == "red"),
        "{viewer}"
    );
}
