//! Random operations by the mount and behind its back, against a model that is a few maps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::tree::testing::{collection_path, manifest};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a collection is, as simply as can be said.
#[derive(Debug, Clone, PartialEq, Default)]
struct Model {
    name: String,
    aliases: BTreeMap<String, u64>,
    tags: BTreeSet<String>,
    description: String,
}

#[derive(Debug, Clone)]
enum Step {
    /// `ln -sfn vN alias`
    Set(String, u64),
    /// `rm alias`
    Remove(String),
    /// `mv -T alias alias`
    Move(String, String),
    /// An editor that writes tags and description.
    Edit(BTreeSet<String>, String),
    /// `mv coll coll`
    Rename(String),
    /// Somebody else gives an alias.
    OthersSet(String, u64),
    /// Somebody else writes the description.
    OthersDescribe(String),
}

fn step() -> impl Strategy<Value = Step> {
    let alias = || "[a-c]";
    let tags = proptest::collection::btree_set("[x-z]", 0..3);
    prop_oneof![
        3 => (alias(), 0..3_u64).prop_map(|(alias, version)| Step::Set(alias, version)),
        2 => alias().prop_map(Step::Remove),
        2 => (alias(), alias()).prop_map(|(from, to)| Step::Move(from, to)),
        2 => (tags, "[a-z]{0,2}").prop_map(|(tags, text)| Step::Edit(tags, text)),
        1 => "[p-r]".prop_map(Step::Rename),
        2 => (alias(), 0..3_u64).prop_map(|(alias, version)| Step::OthersSet(alias, version)),
        1 => "[a-z]{0,2}".prop_map(Step::OthersDescribe),
    ]
}

struct Both {
    world: Arc<World>,
    tree: Tree,
    model: Model,
    clock: u64,
}

impl Both {
    fn new() -> Self {
        let world = World::new();
        for index in 0..3 {
            world.add_version("e/p/t/c", index, &[], &manifest(&[]));
        }
        let tree = world.tree(TreeOptions::default());
        let model = Model {
            name: "c".into(),
            tags: ["tag".to_owned()].into(),
            description: "what it is".into(),
            ..Model::default()
        };
        Self {
            world,
            tree,
            model,
            clock: 0,
        }
    }

    fn path(&self) -> String {
        format!("e/p/t/{}", self.model.name)
    }

    async fn dir(&self) -> Node {
        stat(&self.tree, &self.path()).await.unwrap()
    }

    async fn apply(&mut self, step: Step) {
        let (dir, tree) = (self.dir().await, &self.tree);
        match step {
            Step::Set(alias, version) => {
                let target = format!("v{version}");
                let temporary = "CuAAAAAA".as_ref();
                tree.symlink(&dir, temporary, target.as_ref())
                    .await
                    .unwrap();
                let moved = tree.rename(&dir, temporary, &dir, alias.as_ref(), false);
                moved.await.unwrap();
                self.model.aliases.insert(alias, version);
            }
            Step::Remove(alias) => {
                let removed = tree.unlink(&dir, alias.as_ref()).await;
                assert_eq!(removed.is_ok(), self.model.aliases.remove(&alias).is_some());
            }
            Step::Move(from, to) => {
                let moved = tree
                    .rename(&dir, from.as_ref(), &dir, to.as_ref(), false)
                    .await;
                let version = self.model.aliases.get(&from).copied();
                assert_eq!(moved.is_ok(), version.is_some());
                if let Some(version) = version {
                    self.model.aliases.remove(&from);
                    self.model.aliases.insert(to, version);
                }
            }
            Step::Edit(tags, description) => {
                let mut file = self.file().await;
                file["tags"] = json!(tags);
                file["description"] = json!(description);
                let node = tree
                    .lookup(&dir, "collection.json".as_ref())
                    .await
                    .unwrap()
                    .0;
                let draft = tree.edit(&node.unwrap(), true).await.unwrap();
                draft.write_at(0, file.to_string().as_bytes()).unwrap();
                tree.save(&draft).await.unwrap();
                tree.close(&draft);
                (self.model.tags, self.model.description) = (tags, description);
            }
            Step::Rename(name) => {
                let (above, old) = (dir.parent(), self.model.name.clone());
                let moved = tree.rename(&above, old.as_ref(), &above, name.as_ref(), false);
                assert_eq!(moved.await.is_ok(), old != name);
                self.model.name = name;
            }
            Step::OthersSet(alias, version) => {
                for index in 0..3 {
                    self.world.edit_version(&self.path(), index, |known| {
                        known.aliases.retain(|own| *own != alias);
                        if index == version {
                            known.aliases.push(alias.clone());
                        }
                    });
                }
                self.model.aliases.insert(alias, version);
                self.time_passes();
            }
            Step::OthersDescribe(text) => {
                let path = self.path();
                self.clock += 1;
                self.world.edit_collection(&path, |known| {
                    known.description = Some(text.clone());
                    known.updated_at = Some(self.clock.to_string()); // as a server does
                });
                self.model.description = text;
                self.time_passes();
            }
        }
    }

    fn time_passes(&self) {
        self.tree
            .shared
            .forget_collection(&collection_path(&self.path()));
    }

    async fn file(&self) -> Value {
        let node = stat(&self.tree, &format!("{}/collection.json", self.path())).await;
        serde_json::from_str(&text(&self.tree, &node.unwrap()).await).unwrap()
    }

    /// What the mount shows, by listing and by name.
    async fn shown(&self) -> Model {
        let dir = self.dir().await;
        let file = self.file().await;
        let mut aliases = BTreeMap::new();
        for name in names(self.tree.list(&dir).unwrap()).await.concat() {
            let node = self
                .tree
                .lookup(&dir, name.as_ref())
                .await
                .unwrap()
                .0
                .unwrap();
            if node.kind() == Kind::Symlink {
                let target = self.tree.read_link(&node).unwrap().into_string().unwrap();
                aliases.insert(name, target[1..].parse().unwrap());
            }
        }
        let tags = file["tags"].as_array().unwrap().iter();
        Model {
            name: file["name"].as_str().unwrap().to_owned(),
            aliases,
            tags: tags.map(|tag| tag.as_str().unwrap().to_owned()).collect(),
            description: file["description"].as_str().unwrap().to_owned(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))] // each walks up to 25 steps through a listing

    #[test]
    fn the_mount_shows_what_a_trivial_model_says_after_any_operations(
        steps in proptest::collection::vec(step(), 1..25)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut both = Both::new();
            for step in steps {
                both.apply(step).await;
                assert_eq!(both.shown().await, both.model);
            }
        });
    }
}
