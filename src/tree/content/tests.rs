//! The content tree against a trivial model, and its size in memory.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use serde_json::json;

use super::build::{Builder, Reports};
use super::*;
use crate::model::manifest;
use crate::tree::testing::manifest_of;

fn build(contents: &str) -> (ContentTree, Reports) {
    let mut builder = Builder::default();
    let header = manifest::read(manifest_of(contents).as_bytes(), &mut builder).unwrap();
    builder.finish(header).unwrap()
}

fn of_keys(keys: &[&str]) -> (ContentTree, Reports) {
    let entry = |(size, key): (usize, &&str)| {
        let key = serde_json::to_string(key).unwrap();
        format!(r#"{key}:{{"digest":"XUFAKrxLKna5cZ2REBfFkg==","size":{size}}}"#)
    };
    let entries: Vec<String> = keys.iter().enumerate().map(entry).collect();
    build(&format!("{{{}}}", entries.join(",")))
}

/// Every file by its path below `files/`, with its key and size.
fn files(tree: &ContentTree) -> BTreeMap<String, (String, u64)> {
    let all = (0..tree.len()).filter(|&index| !tree.is_directory(index));
    all.map(|index| (tree.path(index), (tree.key(index), tree.size(index))))
        .collect()
}

fn check(tree: &ContentTree) {
    for index in 1..tree.len() {
        let (name, parent) = (tree.name(index), tree.parent(index));
        assert!(!name.is_empty() && name.len() <= 255 && name != "." && name != "..");
        assert!(!name.contains(['/', '\0']), "{name:?}");
        assert!(tree.is_directory(parent) && tree.children(parent).contains(&index));
        assert_eq!(tree.find(parent, name.as_bytes()), Some(index));
    }
    for index in (0..tree.len()).filter(|&index| tree.is_directory(index)) {
        let names: Vec<&str> = tree.children(index).map(|child| tree.name(child)).collect();
        assert!(names.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()));
    }
    let (mut at, mut walked) = (0, 1);
    while let Some(next) = tree.successor(at) {
        (at, walked) = (next, walked + 1);
    }
    assert_eq!(walked, tree.len());
}

fn nasty_key() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("/".to_owned()),
        2 => Just(".".to_owned()),
        1 => Just("\0".to_owned()),
        1 => Just("%2F".to_owned()),
        1 => Just("%~".to_owned()),
        1 => Just("\\".to_owned()),
        1 => Just("C:".to_owned()),
        1 => Just("ü".to_owned()),
        1 => Just("y".repeat(300)),
        4 => "[aAb]",
    ];
    proptest::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_key_is_reachable_exactly_once(keys in proptest::collection::vec(nasty_key(), 0..40)) {
        let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (tree, _) = of_keys(&texts);
        check(&tree);
        // The model: the last entry of each key.
        let model: BTreeMap<&str, u64> = texts.iter().copied().zip(0..).collect();
        let found = files(&tree);
        prop_assert_eq!(found.len(), model.len());
        let back: BTreeMap<&str, u64> =
            found.values().map(|(key, size)| (key.as_str(), *size)).collect();
        prop_assert_eq!(back, model);
    }

    #[test]
    fn numbers_do_not_depend_on_the_order_of_the_file(keys in proptest::collection::hash_set(nasty_key(), 0..20)) {
        let mut texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        texts.sort_unstable();
        let (one, _) = of_keys(&texts);
        texts.reverse();
        let (other, _) = of_keys(&texts);
        let paths = |tree: &ContentTree| (0..tree.len()).map(|i| tree.path(i)).collect::<Vec<_>>();
        prop_assert_eq!(paths(&one), paths(&other));
    }
}

#[test]
fn a_file_that_is_a_directory_too_is_offered_under_another_name() {
    let (tree, reports) = of_keys(&["a", "a/b", "z", "%61"]);
    check(&tree);
    let found = files(&tree);
    assert_eq!(found["%61"].0, "a");
    assert_eq!(found["%2561"].0, "%61");
    assert_eq!(found["a/b"].0, "a/b");
    assert_eq!(reports.lines.len(), 1);
    assert!(reports.lines[0].1.contains("%61"), "{:?}", reports.lines);
}

#[test]
fn of_a_key_that_is_there_twice_the_last_entry_counts_and_it_is_reported() {
    let (tree, reports) = of_keys(&["a", "b", "a"]);
    assert_eq!(files(&tree)["a"], ("a".to_owned(), 2));
    assert_eq!(tree.len(), 3);
    assert!(reports.lines[0].1.contains("more than once"));
}

#[test]
fn twins_in_case_stay_two_files_and_are_nothing_to_report() {
    let (tree, reports) = of_keys(&["Readme", "README", "readme "]);
    assert_eq!(files(&tree).len(), 3);
    assert!(reports.lines.is_empty());
}

#[test]
fn a_flood_of_odd_keys_is_summed_up() {
    let keys: Vec<String> = (0..250).map(|n| format!("/{n}")).collect();
    let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (_, reports) = of_keys(&texts);
    assert_eq!((reports.lines.len(), reports.more), (100, 150));
}

#[test]
fn references_share_the_base_of_their_addresses() {
    let entry = |n: u32| {
        let key = format!("d/{n}");
        let entry = json!({"digest": format!("etag-{n}"), "ref": format!("s3://bucket/base/{key}"),
            "size": 1, "extra": {"versionID": n}});
        (key, entry)
    };
    let contents: serde_json::Map<_, _> = (0..100).map(entry).collect();
    let (tree, _) = build(&serde_json::Value::from(contents).to_string());
    let mut urls = HashSet::new();
    for index in (0..tree.len()).filter(|&index| !tree.is_directory(index)) {
        let facts = tree.facts(index).unwrap();
        let number = tree.name(index);
        assert_eq!(facts.etag.unwrap(), format!("etag-{number}"));
        assert_eq!(facts.version_id.unwrap(), number);
        urls.insert(facts.url.unwrap());
    }
    assert!(urls.contains("s3://bucket/base/d/7") && urls.len() == 100);
    assert!(tree.texts.bytes() < 100 * 40);
}

#[tokio::test]
async fn what_comes_next_are_the_stored_files_behind_in_listing_order() {
    let reference = r#"{"digest":"e","ref":"s3://b/k","size":1}"#;
    let stored = r#"{"digest":"XUFAKrxLKna5cZ2REBfFkg==","size":5,"birthArtifactID":"QQ=="}"#;
    let contents =
        format!(r#"{{"a":{stored},"b/1":{stored},"b/c/2":{stored},"d":{reference},"e":{stored}}}"#);
    let world = crate::tree::testing::World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest_of(&contents));
    let tree = world.tree(crate::tree::TreeOptions::default());
    let path = crate::model::NodePath::parse("e/p/t/c/v0/files/a").unwrap();
    let node = tree.resolve(&path).await.unwrap();
    let crate::tree::place::Place::Content(content) = &node.0 else {
        panic!("no content")
    };
    let following = Following {
        tree: content.tree.clone(),
        version: content.version.clone(),
        after: content.index,
    };
    let keys = |count| -> Vec<String> {
        let contents = crate::model::Upcoming::next(&following, count);
        let key = |content: Content| match content.origin {
            Origin::Stored(at) => {
                assert!(at.layout_v2 && at.birth_artifact.is_some());
                at.path.to_string()
            }
            other => panic!("{other:?} is not stored"),
        };
        contents.into_iter().map(key).collect()
    };
    assert_eq!(keys(2), ["b/1", "b/c/2"]);
    assert_eq!(keys(100), ["b/1", "b/c/2", "e"]);
}

/// Writes a manifest of a million entries.
fn million(entry: fn(u32) -> String) -> std::fs::File {
    use std::io::Write as _;
    let around = manifest_of("{}");
    let (head, tail) = around.split_at(around.len() - 2);
    let mut file = std::io::BufWriter::new(tempfile::tempfile().unwrap());
    file.write_all(head.as_bytes()).unwrap();
    for n in 0..1_000_000 {
        let comma = if n == 0 { "" } else { "," };
        let class = n % 1000;
        let entry = entry(n);
        write!(
            file,
            r#"{comma}"images/train/class-{class:04}/sample-{n:08}.jpeg":{entry}"#
        )
        .unwrap();
    }
    file.write_all(tail.as_bytes()).unwrap();
    file.into_inner().unwrap()
}

fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn measure(what: &str, entry: fn(u32) -> String) {
    let file = million(entry);
    let before = status("VmRSS");
    std::fs::write("/proc/self/clear_refs", "5").unwrap(); // the peak starts here
    let start = std::time::Instant::now();
    let (tree, _) = super::load::read(&file).unwrap();
    let peak = status("VmHWM").saturating_sub(before);
    let after = status("VmRSS").saturating_sub(before);
    let elapsed = start.elapsed();
    eprintln!(
        "{what}: peak {peak} KiB, then {after} KiB ({} bytes), {elapsed:?}",
        tree.bytes()
    );
    assert_eq!(tree.len(), 1_000_000 + 1000 + 3);
    assert!(peak <= 300 << 10, "{peak} KiB");
}

/// Run alone (`cargo test --lib a_million -- --ignored`): the peak is the process's. Stored files as
/// the SDK's uploader writes them, files that each were born elsewhere, references of a folder.
#[test]
#[ignore = "parses 700 MB; measures the peak of the whole process"]
fn a_million_entries_add_at_most_300_mib_at_the_peak() {
    measure("stored", |n| {
        format!(
            r#"{{"digest":"XUFAKrxLKna5cZ2REBfFkg==","size":{n},"birthArtifactID":"QXJ0aWZhY3Q6MTIzNDU2Nzg5","local_path":"/home/somebody/staging/tmp{n}","skip_cache":false}}"#
        )
    });
    measure("each born elsewhere", |n| {
        format!(
            r#"{{"digest":"XUFAKrxLKna5cZ2REBfFkg==","size":{n},"birthArtifactID":"QXJ0aWZhY3Q6MTIzN{n:08}"}}"#
        )
    });
    measure("references", |n| {
        let class = n % 1000;
        format!(
            r#"{{"digest":"5d41402abc4b2a76b9719d9110{n:06}","ref":"s3://some-bucket/data/images/train/class-{class:04}/sample-{n:08}.jpeg","size":{n},"extra":{{"etag":"5d41402abc4b2a76b9719d9110{n:06}","versionID":"L4kqtJlcpXroDTDmpUMLUo{n:08}"}}}}"#
        )
    });
}
