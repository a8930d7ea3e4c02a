//! Seeds hold what they promise.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use super::*;

fn fresh() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.create_user(Some("local"), true).unwrap();
    (dir, store)
}

fn count(store: &Store, sql: &str) -> i64 {
    store
        .read(|db| Ok(db.query_row(sql, [], |row| row.get(0))?))
        .unwrap()
}

#[test]
fn texts_of_seeds_read_back_and_others_are_refused() {
    assert_eq!("demo".parse(), Ok(Seed::Demo));
    assert_eq!("versions=10".parse(), Ok(Seed::Versions(10)));
    assert_eq!("files=1000000".parse(), Ok(Seed::Files(1_000_000)));
    assert_eq!("artifacts=3".parse(), Ok(Seed::Artifacts(3)));
    for text in ["", "versions", "versions=", "versions=x", "runs=3"] {
        assert!(text.parse::<Seed>().is_err(), "{text}");
    }
}

#[test]
fn the_demo_is_complete_and_planting_it_again_changes_nothing() {
    let (dir, store) = fresh();
    let started = Instant::now();
    plant(&store, &[Seed::Demo], "http://127.0.0.1:1").unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    let versions = count(
        &store,
        "SELECT COUNT(*) FROM artifacts WHERE state = 'COMMITTED'",
    );
    assert_eq!(versions, 3 + 1 + 2 + 1 + 5);
    let photos = "SELECT file_count FROM artifacts a JOIN collections c ON c.id = a.sequence_id WHERE c.name = 'photos'";
    assert_eq!(count(&store, photos), 10_001);
    let model = "SELECT MIN(size) FROM artifacts a JOIN collections c ON c.id = a.sequence_id WHERE c.name = 'classifier'";
    assert!(count(&store, model) >= 64_000_000);
    assert_eq!(
        count(
            &store,
            "SELECT COUNT(*) FROM memberships m JOIN collections c ON c.id = m.collection_id WHERE c.portfolio"
        ),
        2
    );
    assert!(count(&store, "SELECT SUM(size) FROM blobs") < 150_000_000);
    assert_eq!(
        count(&store, "SELECT COUNT(*) FROM entries WHERE ref IS NOT NULL"),
        1
    );
    plant(&store, &[Seed::Demo], "http://127.0.0.1:1").unwrap();
    assert_eq!(count(&store, "SELECT COUNT(*) FROM artifacts"), versions);
    drop(dir);
}

#[test]
fn seeds_of_scale_have_the_asked_counts() {
    let (_dir, store) = fresh();
    plant(
        &store,
        &[Seed::Versions(250), Seed::Files(2500), Seed::Artifacts(30)],
        "",
    )
    .unwrap();
    let in_collection = |name: &str, what: &str| {
        count(
            &store,
            &format!(
                "SELECT {what} FROM artifacts a JOIN collections c ON c.id = a.sequence_id WHERE c.name = '{name}'"
            ),
        )
    };
    assert_eq!(in_collection("versions", "COUNT(*)"), 250);
    assert_eq!(in_collection("files", "file_count"), 2500);
    assert_eq!(
        count(
            &store,
            "SELECT COUNT(*) FROM collections WHERE name LIKE 'artifact-%'"
        ),
        30
    );
    assert_eq!(
        count(
            &store,
            "SELECT COUNT(*) FROM memberships WHERE version_index < 0"
        ),
        0
    );
    assert_eq!(
        count(
            &store,
            "SELECT COUNT(*) FROM aliases WHERE alias = 'latest'"
        ),
        32
    );
}
