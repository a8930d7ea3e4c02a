//! `wandbfs prefetch` and `wandbfs cache` as programs meet them.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;

use serde_json::Value;
use support::{Home, Server};

fn last_line(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn contents_are_fetched_shown_checked_and_removed() {
    let server = Server::seeded("files=300");
    let home = Home::signed_in(&server);
    let path = format!("{}/scale/files:v0", server.entity);
    let ended = home.run(["--json", "prefetch", &path]).code(0);
    let done = last_line(&ended.stdout);
    let keys: Vec<&String> = done.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["event", "files", "bytes", "seconds", "failed"]);
    assert_eq!(
        (&done["event"], &done["files"]),
        (&"done".into(), &300.into())
    );
    assert_eq!(done["failed"], 0);
    let requests = server.requests();
    assert!(requests["graphql"].as_u64().unwrap() < 20, "{requests}");

    // Everything is there now: no body is asked for again, with or without a server.
    server.forget_requests();
    let again = last_line(&home.run(["--json", "prefetch", &path]).code(0).stdout);
    assert_eq!(again["bytes"], done["bytes"]);
    assert_eq!(server.requests()["blob"], 0);

    let du = home.run(["--json", "cache", "du"]).code(0).json();
    let keys: Vec<&String> = du.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["files", "bytes", "removed", "corrupt"]);
    let listed = home.run(["--json", "cache", "ls"]).code(0).stdout;
    let lines: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(du["files"], lines.len());
    let total: u64 = lines
        .iter()
        .map(|line| line["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(du["bytes"], total);
    assert!(lines.iter().all(|line| line["by"] == "mount"));

    let victim = lines
        .iter()
        .find(|line| line["kind"] == "md5" && line["bytes"] != 0)
        .unwrap();
    let blob = victim["path"].as_str().unwrap();
    let mut bytes = fs::read(blob).unwrap();
    bytes[0] ^= 1;
    fs::write(blob, &bytes).unwrap();
    let verified = home.run(["--json", "cache", "verify"]).code(0);
    let verified = last_line(&verified.stdout);
    assert_eq!(
        (&verified["corrupt"], &verified["removed"]),
        (&1.into(), &1.into())
    );
    assert!(!fs::exists(blob).unwrap());

    // Contents of the SDK stay, whatever is removed.
    fs::write(blob, &bytes).unwrap();
    let half = (total / 2).to_string();
    let less = home.run(["--json", "cache", "gc", &half]).code(0).json();
    assert!(
        less["bytes"].as_u64().unwrap() <= total / 2 + bytes.len() as u64,
        "{less}"
    );
    let none = home.run(["--json", "cache", "gc", "--all"]).code(0).json();
    assert_eq!(
        (&none["files"], &none["bytes"]),
        (&1.into(), &bytes.len().into())
    );
    assert!(
        home.run(["cache", "du"])
            .code(0)
            .stdout
            .starts_with("1 files")
    );
}

#[test]
fn what_cannot_be_fetched_is_counted_and_named() {
    let server = Server::seeded("files=3");
    let home = Home::signed_in(&server);
    let version = format!("{}/scale/files:v0", server.entity);
    let ended = home.run(["--json", "prefetch", "--offline", &version]);
    assert_ne!(ended.code, 0, "{ended:#?}");
    let missing = home.run(["prefetch", &format!("{}/scale/nothing:v0", server.entity)]);
    assert_eq!(missing.code, 4, "{missing:#?}");
    let above = home
        .run(["prefetch", &format!("{}/scale", server.entity)])
        .code(1);
    assert!(above.stderr.contains("name a version"), "{above:#?}");
}

#[test]
fn large_files_tell_how_far_they_are() {
    let server = Server::seeded("demo");
    let home = Home::signed_in(&server);
    let root = "vision-lab/images/classifier:best";
    // 64 MB in three seconds, of a few large files at once.
    server.knobs(&serde_json::json!({"bytes_per_s": 20_000_000}));
    let ended = home.run(["--json", "prefetch", root]).code(0);
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (done, told) = lines.split_last().unwrap();
    assert_eq!(done["event"], "done");
    let total = done["bytes"].as_u64().unwrap();
    let mut before = 0;
    for line in told {
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        let wanted = [
            "event",
            "files",
            "bytes",
            "total_files",
            "total_bytes",
            "bytes_per_second",
            "seconds_left",
        ];
        assert_eq!(keys, wanted);
        assert_eq!(line["event"], "progress");
        assert_eq!(line["total_bytes"], total);
        let bytes = line["bytes"].as_u64().unwrap();
        assert!(bytes >= before && bytes <= total, "{lines:#?}");
        before = bytes;
    }
    // It is their bytes that tell, long before a file is complete.
    let grows = |pair: &[Value]| {
        pair[0]["files"] == pair[1]["files"]
            && pair[0]["bytes"].as_u64() < pair[1]["bytes"].as_u64()
    };
    assert!(told.windows(2).any(grows), "{lines:#?}");
}
