//! The house keeps its arrows: a room calls only the rooms below it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms it may call. `telemetry` and `model` are leaves that everybody knows.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("telemetry", &[]),
    ("wandb", &["model", "telemetry"]),
    ("store", &["model", "telemetry"]),
    ("tree", &["model", "telemetry"]),
    ("vfs", &["tree", "model", "telemetry"]),
    ("fuse", &["vfs", "tree", "model", "telemetry"]),
    ("server", &[]),
    (
        "cli",
        &[
            "fuse",
            "vfs",
            "tree",
            "store",
            "wandb",
            "model",
            "telemetry",
            "server",
        ],
    ),
];

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Rooms that a file names after `crate::`, one by one or in a braced list.
fn rooms_used(source: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let line_start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if source[line_start..at].trim_start().starts_with("//") {
            continue; // links of the documentation point anywhere
        }
        let rest = &source[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list[..list.find(';').unwrap_or(list.len())].split(','),
            None => rest[..rest.find([';', '(', ' ', '\n', ',']).unwrap_or(rest.len())].split(','),
        };
        rooms.extend(names.filter_map(|name| {
            let name: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            (!name.is_empty()).then_some(name)
        }));
    }
    rooms
}

#[test]
fn no_room_calls_upward() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (room, below) in &allowed {
        for file in rust_files(&source.join(room)) {
            for used in rooms_used(&fs::read_to_string(&file).unwrap()) {
                seen += 1;
                let is_room = allowed.contains_key(used.as_str());
                if is_room && used != **room && !below.contains(&used.as_str()) {
                    wrong.push(format!("{} uses {used}", file.display()));
                }
            }
        }
    }
    assert!(
        seen > 50,
        "the reader of `use crate::` found only {seen} edges"
    );
    assert!(
        wrong.is_empty(),
        "arrows that point upward:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_folder_of_the_crate_is_a_room() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(
                ALLOWED.iter().any(|(room, _)| *room == name),
                "{name} is no room"
            );
        }
    }
}

#[test]
fn only_the_kernel_adapter_names_the_fuser_crate() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&source) {
        if file.starts_with(source.join("fuse")) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            assert!(!line.contains("fuser::"), "{}: {line}", file.display());
        }
    }
}

#[test]
fn the_reader_of_edges_sees_lists_and_single_names() {
    let source = "use crate::{model::Error, tree::{Node, Tree}};\nfn f() { crate::vfs::g() }\n// crate::cli\n";
    assert_eq!(rooms_used(source), ["model", "tree", "Tree", "vfs"]);
}
