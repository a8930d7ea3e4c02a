//! Names, identities, aliases.

use super::*;
use crate::tree::Identity;
use crate::tree::testing::manifest;

#[tokio::test]
async fn an_alias_is_a_link_that_knows_its_target() {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest(&[]));
    world.add_version("e/p/t/c", 2, &["latest"], &manifest(&[]));
    let tree = world.tree(TreeOptions::default());
    let link = stat(&tree, "e/p/t/c/latest").await.unwrap();
    assert_eq!(link.kind(), Kind::Symlink);
    assert_eq!(tree.read_link(&link).unwrap(), "v2");
    assert_eq!(tree.attributes(&link).await.unwrap().0.size, 2);
    for name in ["digest-of-0", "commit-of-0"] {
        let link = stat(&tree, &format!("e/p/t/c/{name}")).await.unwrap();
        assert_eq!(tree.read_link(&link).unwrap(), "v0");
    }
    world.reset();
    assert!(stat(&tree, "e/p/t/c/v2").await.is_some());
    assert_eq!(world.requests(), 0, "the version came with its alias");
}

#[tokio::test]
async fn a_moved_alias_is_another_node_unless_it_is_pinned() {
    for pin_aliases in [false, true] {
        let world = World::new();
        world.add_version("e/p/t/c", 0, &["best"], &manifest(&[]));
        world.add_version("e/p/t/c", 1, &[], &manifest(&[]));
        let tree = world.tree(TreeOptions {
            pin_aliases,
            ttl: std::time::Duration::ZERO,
            ..TreeOptions::default()
        });
        let before = stat(&tree, "e/p/t/c/best").await.unwrap();
        world.edit_version("e/p/t/c", 0, |version| version.aliases.clear());
        world.edit_version("e/p/t/c", 1, |version| {
            version.aliases = vec!["best".into()]
        });
        let after = stat(&tree, "e/p/t/c/best").await.unwrap();
        assert_eq!(before.identity() == after.identity(), pin_aliases);
        let target = if pin_aliases { "v0" } else { "v1" };
        assert_eq!(tree.read_link(&after).unwrap(), target);
    }
}

#[tokio::test]
async fn names_that_collide_or_cannot_be_are_listed_and_found_encoded() {
    let world = World::new();
    let aliases = ["collection.json", "a/b", "..", ".git", "50%41", "latest"];
    world.add_version("e/p/t/c", 0, &aliases, &manifest(&[]));
    let long = "ж".repeat(128);
    world.edit_version("e/p/t/c", 0, |version| version.aliases.push(long.clone()));
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    let listed = names(tree.list(&dir).unwrap()).await.concat();
    let expected = [
        "collection.json",
        "v0",
        "%63ollection.json",
        "a%2Fb",
        "%2E%2E",
        "%2Egit",
    ];
    assert_eq!(listed[..6], expected);
    assert_eq!(listed[6..8], ["50%2541", "latest"]);
    assert!(listed[8].len() <= 255 && listed[8].starts_with('ж'));
    let cold = world.tree(TreeOptions::default());
    for name in &listed[2..] {
        let link = stat(&cold, &format!("e/p/t/c/{name}")).await;
        let link = link.unwrap_or_else(|| panic!("{name} is not found"));
        assert_eq!(cold.read_link(&link).unwrap(), "v0");
        assert_eq!(link.name(), name);
    }
}

#[tokio::test]
async fn identities_are_stable_and_never_shared() {
    let world = World::new();
    world.add_version(
        "e/p/t/c",
        0,
        &["latest"],
        &manifest(&[("d/a", b""), ("b", b"")]),
    );
    world.add_version("e/p/t/c", 1, &[], &manifest(&[("d/a", b"")]));
    let paths = [
        "",
        "README.md",
        "e",
        "e/entity.json",
        "e/p",
        "e/p/project.json",
        "e/p/t",
        "e/p/t/type.json",
        "e/p/t/c",
        "e/p/t/c/collection.json",
        "e/p/t/c/latest",
        "e/p/t/c/v0",
        "e/p/t/c/v1",
        "e/p/t/c/v0/artifact.json",
        "e/p/t/c/v0/manifest.json",
        "e/p/t/c/v0/files",
        "e/p/t/c/v0/files/d",
        "e/p/t/c/v0/files/d/a",
        "e/p/t/c/v0/files/b",
        "e/p/t/c/v1/files/d/a",
    ];
    let (one, other) = (
        world.tree(TreeOptions::default()),
        world.tree(TreeOptions::default()),
    );
    let mut seen = std::collections::HashSet::new();
    for path in paths {
        let node = stat(&one, path).await.unwrap();
        assert_eq!(node.path(), path);
        assert!(seen.insert(node.identity()), "{path}");
        assert_eq!(
            stat(&other, path).await.unwrap().identity(),
            node.identity()
        );
        if let Some((above, _)) = path.rsplit_once('/') {
            let above = stat(&one, above).await.unwrap();
            assert_eq!(node.parent().identity(), above.identity(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_content_node_comes_back_from_its_number() {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest(&[("d/a", b"x"), ("b", b"")]));
    let tree = world.tree(TreeOptions::default());
    let node = stat(&tree, "e/p/t/c/v0/files/d/a").await.unwrap();
    let Identity::Content { index, .. } = node.identity() else {
        panic!("no content")
    };
    let version = node.version().unwrap();
    let other = world.tree(TreeOptions::default());
    let again = other.content_node(&version, index).await.unwrap();
    assert_eq!(
        (again.path(), again.identity()),
        (node.path(), node.identity())
    );
    assert!(tree.content_node(&version, 99).await.is_err());
}
