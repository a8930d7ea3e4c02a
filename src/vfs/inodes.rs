//! Inode numbers and lookup counts.
//!
//! Difficulties, and what answers each:
//! 1. A version may hold a million files, and the kernel may know them all. So numbers below a
//!    version are computed (`slot << 32 | index`) and a version costs one [`Slot`], whatever its
//!    size: the kernel's lookups are summed, and the node of an index is asked of the version. The
//!    slot holds the version, not its content, which may weigh 100 MB and is the tree's to bound.
//! 2. Numbers must be the same whenever a node is met again while the mount lives, without
//!    remembering every node ever seen. So a number is the hash of the identity; only nodes that
//!    the kernel knows right now are in the table, and a clash among those moves one aside.
//! 3. The kernel decides when it forgets. So beyond [`NAMED_LIMIT`] the oldest entries are offered
//!    to it to be dropped ([`Inodes::excess`]); its forgets then shrink the table.
//!
//! Pure: no lock, no kernel, generic over what a node is, so that a property test can drive it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::tree::Identity;

/// Number of the root of the mount, given by the protocol of the kernel.
pub(crate) const ROOT: u64 = 1;

/// Entries above version content that are kept before the kernel is asked to drop some: about 300
/// bytes each with their node, so 30 MB. Too small shows as repeated lookups of the same names.
const NAMED_LIMIT: usize = 100_000;

/// Entries offered to the kernel at once: a flood of notifications puts other processes to sleep.
const EXCESS_BATCH: usize = 64;

/// Bit of numbers above version content. Not the sign bit, which some programs print as a minus.
const NAMED_BIT: u64 = 1 << 62;

/// Slots are 30 bits: below [`NAMED_BIT`] once shifted.
const SLOT_MASK: u64 = (1 << 30) - 1;

/// What the table needs to know of a node.
pub(crate) trait NodeLike: Clone {
    /// What makes it the same node next time.
    fn identity(&self) -> Identity;
    /// The version that leads to this node, if it is content.
    fn version(&self) -> Option<Self>;
}

/// What a number stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known<N> {
    /// The node itself.
    Node(N),
    /// Entry `index` of the content of a version.
    Content {
        /// The version.
        version: N,
        /// Number of the entry.
        index: u32,
    },
}

#[derive(Debug)]
struct Named<N> {
    identity: Arc<str>,
    node: N,
    lookups: u64,
    opens: u32,
}

/// One version whose content the kernel knows.
#[derive(Debug)]
struct Slot<N> {
    identity: Arc<str>,
    /// Leads to every node of the content.
    version: N,
    /// Sum over all files.
    lookups: u64,
    opens: u32,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Inodes<N> {
    root: Known<N>,
    root_identity: Identity,
    named: HashMap<u64, Named<N>>,
    /// Keys of `named`, oldest first; some may be gone.
    age: VecDeque<u64>,
    slots: HashMap<u64, Slot<N>>,
}

impl<N: NodeLike> Inodes<N> {
    /// A table that knows the root only.
    pub(crate) fn new(root: N) -> Self {
        Self {
            root_identity: root.identity(),
            root: match (root.identity(), root.version()) {
                (Identity::Content { index, .. }, Some(version)) => {
                    Known::Content { version, index }
                }
                _ => Known::Node(root),
            },
            named: HashMap::new(),
            age: VecDeque::new(),
            slots: HashMap::new(),
        }
    }

    /// What a number that the kernel knows stands for.
    pub(crate) fn known(&self, ino: u64) -> Option<Known<N>> {
        if ino == ROOT {
            return Some(self.root.clone());
        }
        if ino & NAMED_BIT != 0 {
            let entry = self.named.get(&ino)?;
            return Some(Known::Node(entry.node.clone()));
        }
        let (slot, index) = split(ino);
        let version = self.slots.get(&slot)?.version.clone();
        Some(Known::Content { version, index })
    }

    /// What `wanted` finds among the nodes above contents. A look at the whole table.
    pub(crate) fn find_all<T>(&self, wanted: impl Fn(&N) -> Option<T>) -> Vec<T> {
        let nodes = self.named.values().map(|entry| &entry.node);
        nodes.filter_map(wanted).collect()
    }

    /// The number that a node has or would get. Raises nothing.
    pub(crate) fn number(&self, identity: &Identity) -> u64 {
        if *identity == self.root_identity {
            return ROOT;
        }
        match identity {
            Identity::Named(text) => self.named_number(text),
            Identity::Content { version, index } => {
                self.slot_number(version) << 32 | u64::from(*index)
            }
        }
    }

    /// Counts one more lookup of the kernel and gives the number.
    pub(crate) fn remember(&mut self, node: &N) -> u64 {
        let identity = node.identity();
        let ino = self.number(&identity);
        match identity {
            _ if ino == ROOT => {}
            Identity::Named(text) => {
                let age = &mut self.age;
                let entry = self.named.entry(ino).or_insert_with(|| {
                    age.push_back(ino);
                    Named {
                        identity: text,
                        node: node.clone(),
                        lookups: 0,
                        opens: 0,
                    }
                });
                entry.lookups += 1;
                // The newest node knows the newest state of the server.
                entry.node = node.clone();
            }
            Identity::Content { version, .. } => {
                let entry = self.slots.entry(ino >> 32).or_insert_with(|| Slot {
                    identity: version,
                    version: node.version().unwrap_or_else(|| node.clone()),
                    lookups: 0,
                    opens: 0,
                });
                entry.lookups += 1;
            }
        }
        ino
    }

    /// Takes back lookups; a node without any that is not open is gone.
    pub(crate) fn forget(&mut self, ino: u64, lookups: u64) {
        self.change(ino, |count, _| *count = count.saturating_sub(lookups));
    }

    /// Keeps a node while it is open.
    pub(crate) fn opened(&mut self, ino: u64) {
        self.change(ino, |_, opens| *opens += 1);
    }

    /// The counterpart of [`Inodes::opened`].
    pub(crate) fn closed(&mut self, ino: u64) {
        self.change(ino, |_, opens| *opens = opens.saturating_sub(1));
    }

    /// Nodes beyond the limit that the kernel should be asked to drop, oldest first; empty while
    /// the table is small. Each is offered once until it has become the oldest again.
    pub(crate) fn excess(&mut self) -> Vec<N> {
        self.excess_over(NAMED_LIMIT)
    }

    fn excess_over(&mut self, limit: usize) -> Vec<N> {
        let mut nodes = Vec::new();
        let over = self.named.len().saturating_sub(limit);
        for _ in 0..over.min(EXCESS_BATCH) {
            let Some(ino) = self.age.pop_front() else {
                break;
            };
            if let Some(entry) = self.named.get(&ino) {
                self.age.push_back(ino);
                if entry.opens == 0 {
                    nodes.push(entry.node.clone());
                }
            }
        }
        nodes
    }

    fn change(&mut self, ino: u64, apply: impl FnOnce(&mut u64, &mut u32)) {
        if ino == ROOT {
            return;
        }
        if ino & NAMED_BIT != 0 {
            if let Some(entry) = self.named.get_mut(&ino) {
                apply(&mut entry.lookups, &mut entry.opens);
                if entry.lookups == 0 && entry.opens == 0 {
                    self.named.remove(&ino);
                    self.trim_age();
                }
            }
        } else if let Some(slot) = self.slots.get_mut(&(ino >> 32)) {
            apply(&mut slot.lookups, &mut slot.opens);
            if slot.lookups == 0 && slot.opens == 0 {
                self.slots.remove(&(ino >> 32));
            }
        }
    }

    /// Drops keys of forgotten entries once they are the larger half, so that the queue is bounded
    /// by the table and each key is touched a constant number of times.
    fn trim_age(&mut self) {
        if self.age.len() > 2 * self.named.len() + EXCESS_BATCH {
            let mut seen = std::collections::HashSet::with_capacity(self.named.len());
            let named = &self.named;
            self.age
                .retain(|ino| named.contains_key(ino) && seen.insert(*ino));
        }
    }

    fn named_number(&self, text: &Arc<str>) -> u64 {
        let mut ino = NAMED_BIT | (xxh3_64(text.as_bytes()) & (NAMED_BIT - 1));
        while let Some(entry) = self.named.get(&ino) {
            if entry.identity == *text {
                break;
            }
            ino = NAMED_BIT | (ino.wrapping_add(1) & (NAMED_BIT - 1));
        }
        ino
    }

    fn slot_number(&self, version: &Arc<str>) -> u64 {
        // Slot 0 would collide with the root's number.
        let mut slot = (xxh3_64(version.as_bytes()) & SLOT_MASK).max(1);
        while let Some(entry) = self.slots.get(&slot) {
            if entry.identity == *version {
                break;
            }
            slot = ((slot + 1) & SLOT_MASK).max(1);
        }
        slot
    }
}

fn split(ino: u64) -> (u64, u32) {
    (ino >> 32, (ino & u64::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap as Model;

    use proptest::prelude::*;

    use super::*;

    /// A node that is nothing but its identity.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Bare(Identity);

    impl NodeLike for Bare {
        fn identity(&self) -> Identity {
            self.0.clone()
        }
        fn version(&self) -> Option<Self> {
            match &self.0 {
                Identity::Content { version, .. } => Some(named(version)),
                Identity::Named(_) => None,
            }
        }
    }

    impl Bare {
        fn known(&self) -> Known<Self> {
            match &self.0 {
                Identity::Content { version, index } => Known::Content {
                    version: named(version),
                    index: *index,
                },
                Identity::Named(_) => Known::Node(self.clone()),
            }
        }
    }

    fn named(text: &str) -> Bare {
        Bare(Identity::Named(text.into()))
    }

    fn content(version: &str, index: u32) -> Bare {
        Bare(Identity::Content {
            version: version.into(),
            index,
        })
    }

    #[test]
    fn a_million_files_of_a_version_cost_one_record() {
        let mut inodes = Inodes::new(named(""));
        for index in 0..1_000_000 {
            inodes.remember(&content("v", index));
        }
        assert_eq!((inodes.slots.len(), inodes.named.len()), (1, 0));
        let ino = inodes.number(&content("v", 77).identity());
        assert_eq!(inodes.known(ino), Some(content("v", 77).known()));
        for index in 0..1_000_000 {
            inodes.forget(inodes.number(&content("v", index).identity()), 1);
        }
        assert_eq!(inodes.slots.len(), 0);
    }

    #[test]
    fn a_node_met_again_after_being_forgotten_has_its_old_number() {
        let mut inodes = Inodes::new(named(""));
        let first = inodes.remember(&named("e/p"));
        inodes.forget(first, 1);
        assert_eq!(inodes.known(first), None);
        assert_eq!(inodes.remember(&named("e/p")), first);
    }

    #[test]
    fn the_root_keeps_its_number_though_it_is_content() {
        let mut inodes = Inodes::new(content("v", 0));
        assert_eq!(inodes.remember(&content("v", 0)), ROOT);
        inodes.forget(ROOT, 10);
        assert_eq!(inodes.known(ROOT), Some(content("v", 0).known()));
        assert_ne!(inodes.remember(&content("v", 1)), ROOT);
    }

    #[test]
    fn a_full_table_offers_its_oldest_entries_that_are_not_open() {
        let mut inodes = Inodes::new(named(""));
        let open = inodes.remember(&named("a"));
        inodes.opened(open);
        for name in ["b", "c", "d"] {
            inodes.remember(&named(name));
        }
        assert_eq!(inodes.excess_over(2), [named("b")]);
        assert!(inodes.excess_over(4).is_empty());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Remember(usize),
        Forget(usize, u64),
        Open(usize),
        Close(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..8usize).prop_map(Step::Remember),
            2 => ((0..8usize), 1..4u64).prop_map(|(n, count)| Step::Forget(n, count)),
            1 => (0..8usize).prop_map(Step::Open),
            1 => (0..8usize).prop_map(Step::Close),
        ]
    }

    /// Named nodes are counted one by one, content by version.
    fn account(node: usize) -> usize {
        if node < 4 { node } else { 4 + node % 2 }
    }

    proptest! {
        /// Against a model that only adds up: a node is known exactly while its account holds
        /// lookups or opens, and distinct nodes never share a number.
        #[test]
        fn the_table_agrees_with_plain_counting(steps in prop::collection::vec(step(), 0..200)) {
            let nodes: Vec<Bare> = (0..4).map(|n| named(&n.to_string()))
                .chain((4..8).map(|n| content(if n % 2 == 0 { "v" } else { "w" }, n)))
                .collect();
            let mut inodes = Inodes::new(named("root"));
            let mut model: Model<usize, (u64, u64)> = Model::new();
            for step in steps {
                match step {
                    Step::Remember(n) => {
                        inodes.remember(&nodes[n]);
                        model.entry(account(n)).or_default().0 += 1;
                    }
                    Step::Forget(n, count) => {
                        let held = model.entry(account(n)).or_default();
                        let count = count.min(held.0);
                        held.0 -= count;
                        inodes.forget(inodes.number(&nodes[n].identity()), count);
                    }
                    Step::Open(n) => {
                        let held = model.entry(account(n)).or_default();
                        if held.0 > 0 {
                            held.1 += 1;
                            inodes.opened(inodes.number(&nodes[n].identity()));
                        }
                    }
                    Step::Close(n) => {
                        let held = model.entry(account(n)).or_default();
                        if held.1 > 0 {
                            held.1 -= 1;
                            inodes.closed(inodes.number(&nodes[n].identity()));
                        }
                    }
                }
                let mut numbers = std::collections::HashSet::new();
                for (n, node) in nodes.iter().enumerate() {
                    let ino = inodes.number(&node.identity());
                    prop_assert!(numbers.insert(ino));
                    let (lookups, opens) = model.get(&account(n)).copied().unwrap_or_default();
                    let known = lookups > 0 || opens > 0;
                    prop_assert_eq!(inodes.known(ino), known.then(|| node.known()));
                }
            }
        }
    }
}
