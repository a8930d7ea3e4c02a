//! What the documents name exists: tests, items of the library, files.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// `file::test` of every Rust test beside the unit tests, and `test` of every Python test with its
/// file.
fn tests() -> (HashSet<String>, HashSet<(String, String)>) {
    let rust = Regex::new(r"#\[(?:tokio::)?test[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)")
        .unwrap();
    let python = Regex::new(r"(?m)^def (test_\w+)\(").unwrap();
    let mut rust_tests = HashSet::new();
    for file in files("tests", "rs") {
        let text = fs::read_to_string(&file).unwrap();
        let names = rust.captures_iter(&text);
        rust_tests.extend(names.map(|found| format!("{}::{}", stem(&file), &found[1])));
    }
    let mut python_tests = HashSet::new();
    for file in files("tests/sdk", "py") {
        let text = fs::read_to_string(&file).unwrap();
        let names = python.captures_iter(&text);
        python_tests
            .extend(names.map(|found| (format!("{}.py", stem(&file)), found[1].to_owned())));
    }
    (rust_tests, python_tests)
}

/// Cells of the rows of every table: what the API offers, Rust, path or command, test.
fn rows() -> Vec<[String; 4]> {
    let text = fs::read_to_string(root().join("docs/API.md")).unwrap();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("| test |"));
    rows.map(|line| {
        let cells: Vec<String> = line
            .trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect();
        <[String; 4]>::try_from(cells).expect(line)
    })
    .collect()
}

fn quoted(cell: &str) -> Vec<String> {
    let quoted = Regex::new("`([^`]+)`").unwrap();
    quoted
        .captures_iter(cell)
        .map(|found| found[1].to_owned())
        .collect()
}

#[test]
fn every_test_that_the_table_of_the_api_names_is_there() {
    let (rust, python) = tests();
    let rows = rows();
    assert!(rows.len() > 30, "the table was not read");
    for row in &rows {
        let mut file = String::new();
        let mut found = 0;
        for name in quoted(&row[3]) {
            if let Some((named, test)) = name.split_once(": ") {
                file = named.to_owned();
                assert!(
                    python.contains(&(file.clone(), test.to_owned())),
                    "{name} of {row:?}"
                );
            } else if name.starts_with("test_") && name.ends_with(".py") {
                assert!(
                    python.iter().any(|(file, _)| *file == name),
                    "{name} of {row:?}"
                );
            } else if name.starts_with("test_") {
                let same_file = python.contains(&(file.clone(), name.clone()));
                assert!(same_file, "{name} of {row:?}");
            } else if name.contains("::") {
                assert!(rust.contains(&name), "{name} of {row:?}");
            } else {
                assert!(
                    row[3].contains(&format!("doc test of `{name}`")),
                    "{name} of {row:?}"
                );
                assert!(has_doc_test(&name), "{name} of {row:?}");
            }
            found += 1;
        }
        assert!(
            found > 0 || row[3].starts_with("the same"),
            "no test in {row:?}"
        );
    }
}

/// Whether a public function of the library has an example that the compiler runs or checks.
fn has_doc_test(function: &str) -> bool {
    let head = Regex::new(&format!(r"pub (?:async )?fn {function}\b")).unwrap();
    files("src/wandb", "rs").iter().any(|file| {
        let text = fs::read_to_string(file).unwrap();
        head.find_iter(&text).any(|found| {
            let before = text[..found.start()].lines().rev();
            let comment = before.skip_while(|line| line.trim().is_empty());
            let mut comment = comment.take_while(|line| line.trim().starts_with("///"));
            comment.any(|line| line.contains("```"))
        })
    })
}

#[test]
fn every_item_that_the_table_of_the_api_names_is_public() {
    let mut items = HashSet::new();
    let head = Regex::new(
        r"(?m)^\s*pub (?:async )?(?:fn|struct|enum|trait) (\w+)|^\s*(?:async )?fn (\w+)",
    )
    .unwrap();
    let reexported = Regex::new(r"pub use [^;]+;").unwrap();
    for room in ["src/wandb", "src/model"] {
        for file in files(room, "rs") {
            let text = fs::read_to_string(&file).unwrap();
            let found = head.captures_iter(&text);
            items.extend(found.filter_map(|found| Some(found.get(1)?.as_str().to_owned())));
            for names in reexported.find_iter(&text) {
                items.extend(
                    names
                        .as_str()
                        .split(|c: char| !c.is_alphanumeric() && c != '_')
                        .map(str::to_owned),
                );
            }
        }
    }
    let names = Regex::new(r"\w+").unwrap();
    for row in rows() {
        let named = quoted(&row[1]);
        assert!(!named.is_empty(), "{row:?} names no item");
        for item in named {
            let item = item.split('(').next().unwrap_or_default().to_owned();
            for name in names.find_iter(&item) {
                assert!(
                    items.contains(name.as_str()),
                    "{} of {row:?}",
                    name.as_str()
                );
            }
        }
    }
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    let path = Regex::new(r"`((?:tests|scripts|docs|src)/[\w./-]+)`").unwrap();
    for document in files("docs", "md") {
        let text = fs::read_to_string(&document).unwrap();
        let found = path.captures_iter(&text);
        for found in found.filter(|found| !found[1].contains("NAME")) {
            assert!(
                root().join(&found[1]).exists(),
                "{} of {}",
                &found[1],
                document.display()
            );
        }
    }
}

#[test]
fn the_table_of_the_api_has_every_member_of_the_seed_list() {
    let offered: String = rows()
        .iter()
        .map(|row| row[0].as_str())
        .collect::<Vec<_>>()
        .join("\n");
    for member in [
        "`ArtifactTypes`: iterate, next page",
        "`ArtifactType.id`, `.name`",
        "`ArtifactType.collection(name)`",
        "`ArtifactType.collections(per_page)`",
        "`ArtifactType.collections(filters, order)`",
        "`ArtifactCollections`: iterate, length",
        "`ArtifactCollection.aliases`",
        ".created_at",
        ".description",
        "`ArtifactCollection.id`",
        ".tags",
        ".type",
        "`ArtifactCollection.artifacts(per_page)`",
        "`ArtifactCollection.change_type(t)`",
        "`ArtifactCollection.delete()`",
        "`ArtifactCollection.is_sequence()`",
        "`save()`",
        "`Artifacts`: iterate, length, `per_page`, `filters`, `order`",
        "`Artifacts(tags=…)`",
        "`RunArtifacts`: logged, used",
        "`ArtifactFiles`: iterate",
        "`ArtifactFiles(names=…)`",
        "`ArtifactFiles.path`",
        "`Artifact.delete()`",
        "`Artifact.delete(delete_aliases=True)`",
        "`Artifact.link(target, aliases)`",
        "`Artifact.unlink()`",
        "`Artifact.used_by()`",
        "`Artifact.logged_by()`",
        "`Artifact.linked_artifacts`",
        ".ttl",
        "`Api.registries`",
        "`Api.projects`",
        "`Api.viewer`, entities",
    ] {
        assert!(offered.contains(member), "{member}");
    }
}
