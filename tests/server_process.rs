//! The embedded server as a process: killed at any step, short of disk, beside a command, and with
//! clients that go away in the middle.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::client::{Client, Refused, manifest_text};
use common::{Harness, md5, md5_hex};
use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _};
use reqwest::StatusCode;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

/// A server in a process of its own, killed when dropped.
struct Process {
    child: Child,
    ready: Value,
}

impl Process {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wandbfs"))
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_default();
        Self { child, ready }
    }

    fn client(&self) -> Client {
        let text = |key: &str| self.ready[key].as_str().unwrap().to_owned();
        Client::new(&text("base_url"), &text("api_key"), &text("entity"), "p")
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Checks on an idle directory what must hold whatever happened: SQLite is sound, every blob that a
/// row names is on disk with that content, nothing listed is unfinished.
fn check_directory(data: &Path) {
    let db = Connection::open(data.join("server.sqlite")).unwrap();
    let text = |sql: &str| -> String { db.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    let broken: i64 = db
        .prepare("PRAGMA foreign_key_check")
        .unwrap()
        .query_map([], |_| Ok(()))
        .unwrap()
        .count()
        .try_into()
        .unwrap();
    assert_eq!(broken, 0, "foreign keys");
    let mut statement = db.prepare("SELECT md5 FROM blobs").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, [u8; 16]>(0));
    for row in rows.unwrap() {
        let name = hex::encode(row.unwrap());
        let path = data.join("blobs").join(&name[..2]).join(&name[2..]);
        let content = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(md5_hex(&content), name);
    }
    let count = |sql: &str| -> i64 { db.query_row(sql, [], |row| row.get(0)).unwrap() };
    let unfinished = count(
        "SELECT COUNT(*) FROM memberships m JOIN artifacts a ON a.id = m.artifact_id
         LEFT JOIN manifests f ON f.id = a.manifest_id
         WHERE (m.state = 'COMMITTED') <> (a.state = 'COMMITTED')
            OR (m.state = 'COMMITTED' AND (f.md5 IS NULL OR m.version_index < 0 OR a.file_count <>
                (SELECT COUNT(*) FROM entries e WHERE e.manifest_id = a.manifest_id)))",
    );
    assert_eq!(unfinished, 0, "half-committed versions");
    let missing = count(
        "SELECT COUNT(*) FROM entries e JOIN artifacts a ON a.manifest_id = e.manifest_id
         WHERE a.state = 'COMMITTED' AND e.md5 IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.md5 = e.md5)",
    );
    assert_eq!(missing, 0, "entries without content");
}

/// Checks through the API that a collection is numbered without gaps, has one `latest`, on the
/// newest, and that the versions of `acknowledged` are in it with their content.
async fn check_collection(
    client: &Client,
    collection: &str,
    acknowledged: &BTreeMap<String, Vec<u8>>,
) {
    let versions = client.versions(collection).await.unwrap();
    let mut latest = Vec::new();
    let mut listed = BTreeMap::new();
    for (index, edge) in versions.iter().enumerate() {
        let node = &edge["node"];
        assert_eq!(edge["version"], format!("v{index}"));
        assert_eq!(node["state"], "COMMITTED");
        let aliases = node["aliases"].as_array().unwrap();
        if aliases.iter().any(|alias| alias["alias"] == "latest") {
            latest.push(index);
        }
        listed.insert(node["id"].as_str().unwrap().to_owned(), node.clone());
    }
    assert_eq!(latest, Vec::from_iter(versions.len().checked_sub(1)));
    for (id, content) in acknowledged {
        let node = listed
            .get(id)
            .unwrap_or_else(|| panic!("lost {id} of {collection}"));
        let url = node["files"]["edges"][0]["node"]["directUrl"]
            .as_str()
            .unwrap();
        assert_eq!(&client.get(url).await.unwrap().1, content);
    }
}

/// Versions that the server said it has, by collection.
type Acknowledged = Arc<Mutex<BTreeMap<String, BTreeMap<String, Vec<u8>>>>>;

/// Logs one version after the other until the server is gone.
async fn log_on(client: Client, round: u32, writer: u32, acknowledged: Acknowledged) {
    for turn in 0.. {
        let collection = format!("c{}", writer % 2);
        let content = format!("{round}-{writer}-{turn}").into_bytes();
        let shared = format!("shared by round {round}");
        let files = [("a.txt", content.as_slice()), ("b.txt", shared.as_bytes())];
        match client.log(&collection, &files).await {
            Ok(id) => {
                let mut all = acknowledged.lock();
                all.entry(collection).or_default().insert(id, content);
            }
            Err(Refused::Gone) => return,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_moment_keeps_what_it_acknowledged_and_shows_nothing_unfinished() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = Acknowledged::default();
    let seed = rand::random();
    println!("moments of seed {seed}");
    let mut moments = rand::rngs::StdRng::seed_from_u64(seed);
    for round in 0..12 {
        let mut server = Process::start(dir.path());
        let client = server.client();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                tokio::spawn(log_on(
                    client.clone(),
                    round,
                    writer,
                    Arc::clone(&acknowledged),
                ))
            })
            .collect();
        // The moment is what varies; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(moments.random_range(20..700))).await;
        server.kill();
        for writer in writers {
            writer.await.unwrap();
        }
        check_directory(dir.path());
    }
    let server = Process::start(dir.path());
    let client = server.client();
    let all = acknowledged.lock().clone();
    let count: usize = all.values().map(BTreeMap::len).sum();
    println!("{count} commits were acknowledged");
    assert!(count > 0, "no round got to a commit");
    for (collection, versions) in &all {
        check_collection(&client, collection, versions).await;
        client
            .log(collection, &[("a.txt", b"after")])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_get_contiguous_versions_and_exactly_one_latest() {
    let harness = Harness::new().await;
    let server = &harness.server;
    let client = Client::new(server.base_url(), server.api_key(), server.entity(), "p");
    let writers = (0..8).map(|writer| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut mine = BTreeMap::new();
            for turn in 0..4 {
                let content = format!("{writer}-{turn}").into_bytes();
                let id = client.log("c", &[("a", &content)]).await.unwrap();
                mine.insert(id, content);
            }
            mine
        })
    });
    let mut all = BTreeMap::new();
    for writer in writers.collect::<Vec<_>>() {
        all.extend(writer.await.unwrap());
    }
    assert_eq!(all.len(), 32);
    check_collection(&client, "c", &all).await;
}

/// Begins a PUT of `content`, sends half of it and goes away.
fn break_off(url: &str, content: &[u8]) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let head = format!(
        "PUT /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n",
        content.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&content[..content.len() / 2]).unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_at_any_step_leaves_nothing_listed_and_can_start_over() {
    let harness = Harness::new().await;
    let server = &harness.server;
    let client = Client::new(server.base_url(), server.api_key(), server.entity(), "p");
    let content = vec![7_u8; 100_000];
    let files = [("a", content.as_slice())];
    for steps in 0..7 {
        // Each attempt goes one step further than the one before and then ends.
        let digest = format!("{steps:032}");
        let (id, _) = client.begin("c", &digest).await.unwrap();
        if steps > 0 {
            let (manifest, _) = client.manifest(&id, "").await.unwrap();
            let nodes = client.place(&id, &manifest, &files).await.unwrap();
            let entry = json!({"digest": md5(&content), "size": content.len(),
                "birthArtifactID": nodes[0]["artifact"]["id"]});
            let text = manifest_text(&Map::from_iter([("a".to_owned(), entry)]));
            if let Some(url) = nodes[0]["uploadUrl"].as_str() {
                assert!(steps < 4, "content that was sent is asked for again");
                match steps {
                    1 => {}
                    2 => break_off(url, &content),
                    _ => client.put(url, content.clone()).await.unwrap(),
                }
            }
            if steps > 3 {
                let (_, url) = client.manifest(&id, &md5(&text)).await.unwrap();
                match steps {
                    4 => {}
                    5 => break_off(&url, &text),
                    _ => client.put(&url, text).await.unwrap(),
                }
            }
            if steps < 6 {
                assert!(client.commit(&id).await.is_err(), "step {steps}");
            }
        }
        assert!(
            client.versions("c").await.unwrap().is_empty(),
            "step {steps}"
        );
    }
    let id = client.log("c", &files).await.unwrap();
    check_collection(&client, "c", &BTreeMap::from([(id, content)])).await;
    let temporary = harness.dir.path().join("blobs/tmp");
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while std::fs::read_dir(&temporary).unwrap().count() > 0 {
        assert!(
            std::time::Instant::now() < end,
            "half an upload stayed on disk"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A file system of a few megabytes, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        done.is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_full_disk_is_a_clear_error_and_the_store_goes_on_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else {
        println!("not run: mounting a small file system needs root");
        return;
    };
    let mut server = Process::start(&disk.0);
    let client = server.client();
    let mut kept = BTreeMap::new();
    let before = client.log("c", &[("a", b"before")]).await.unwrap();
    kept.insert(before, b"before".to_vec());
    let ballast = disk.0.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    // Room for a few more: then both the database and the blobs meet the end.
    file.set_len(file.metadata().unwrap().len() - 600_000)
        .unwrap();
    drop(file);
    // More than there is room for is refused while smaller things still find some.
    let too_large = client.log("c", &[("a", &vec![1; 900_000])]).await;
    let status = StatusCode::INSUFFICIENT_STORAGE;
    assert!(matches!(too_large, Err(Refused::Status(found, _)) if found == status));
    let mut refusals = Vec::new();
    for turn in 0..40 {
        let content = vec![turn; 20_000];
        match client.log("c", &[("a", &content)]).await {
            Ok(id) => drop(kept.insert(id, content)),
            Err(refused) => refusals.push(format!("{refused:?}")),
        }
    }
    assert!(
        kept.len() > 1 && !refusals.is_empty(),
        "{} kept",
        kept.len()
    );
    for refusal in &refusals {
        assert!(refusal.contains("the server's disk is full"), "{refusal}");
    }
    check_collection(&client, "c", &kept).await;
    std::fs::remove_file(ballast).unwrap();
    let after = client.log("c", &[("a", b"after")]).await.unwrap();
    kept.insert(after, b"after".to_vec());
    check_collection(&client, "c", &kept).await;
    server.kill();
    check_directory(&disk.0);
}

#[tokio::test]
async fn an_account_can_be_added_beside_a_running_server_and_to_an_idle_directory() {
    let dir = tempfile::tempdir().unwrap();
    let add = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_wandbfs"))
            .args(["serve", "--data"])
            .arg(dir.path())
            .args(["user", "add"])
            .args(arguments)
            .output()
            .unwrap();
        let key = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        (output.status.success(), key)
    };
    let (idle, ann) = add(&["ann"]);
    let server = Process::start(dir.path());
    let (beside, reader) = add(&["ann", "--read-only"]);
    let (twice, _) = add(&["ann"]);
    assert_eq!((idle, beside, twice), (true, true, false));
    let base = server.client().base_url;
    let client = |key: &str| Client::new(&base, key, "ann", "p");
    client(&ann).log("c", &[("a", b"a")]).await.unwrap();
    assert_eq!(client(&reader).versions("c").await.unwrap().len(), 1);
    let refused = client(&reader).log("c", &[("b", b"b")]).await;
    assert!(matches!(refused, Err(Refused::Error(text)) if text.starts_with("permission denied")));
    let bob = client(&add(&["bob"]).1);
    assert!(bob.versions("c").await.unwrap().is_empty());
    let root = client(&add(&["root", "--admin"]).1);
    assert_eq!(root.versions("c").await.unwrap().len(), 1);
}
