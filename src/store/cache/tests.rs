//! Mounts, the SDK and sudden deaths on one directory, against a plain model.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::index::Added;
use super::*;
use crate::model::DigestAlgorithm;
use crate::store::hash;
use crate::store::tests::cases;

/// Limit of every mount: some of the contents fit together, not all.
const LIMIT: u64 = 6000;

/// Sizes of the contents.
const SIZES: [u64; 7] = [0, 1, 700, 1500, 1501, 2600, 5900];

/// What happens to the directory.
#[derive(Debug, Clone)]
enum Step {
    /// A mount adds a content, or finds it there.
    Keep { mount: usize, content: usize },
    /// A mount looks for a content.
    Find { mount: usize, content: usize },
    /// The SDK adds a content, replacing what is there.
    SdkAdds(usize),
    /// The SDK's clean-up or a person removes a content.
    Vanishes(usize),
    /// A content is cut short by somebody.
    Torn(usize),
    /// A mount is killed while it adds: nobody took the room back.
    DiesCounted(usize),
    /// A mount is killed while it adds: the marker is there, the content is not.
    DiesMarked(usize),
    /// A mount ends and starts again.
    Restart(usize),
    /// The ledger is lost, and everybody starts again.
    LosesLedger,
    /// Somebody wants less.
    Collect(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (mount, content) = (0..2usize, 0..SIZES.len());
    prop_oneof![
        8 => (mount.clone(), content.clone()).prop_map(|(mount, content)| Step::Keep { mount, content }),
        4 => (mount.clone(), content.clone()).prop_map(|(mount, content)| Step::Find { mount, content }),
        2 => content.clone().prop_map(Step::SdkAdds),
        1 => content.clone().prop_map(Step::Vanishes),
        1 => content.clone().prop_map(Step::Torn),
        1 => content.clone().prop_map(Step::DiesCounted),
        1 => content.prop_map(Step::DiesMarked),
        1 => mount.prop_map(Step::Restart),
        1 => Just(Step::LosesLedger),
        1 => (0..LIMIT).prop_map(Step::Collect),
    ]
}

/// Whose a content in the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Mount,
    Sdk,
    /// It has the wrong size and belongs to nobody.
    Torn,
}

struct Model {
    dir: tempfile::TempDir,
    mounts: [Cache; 2],
    places: Vec<Place>,
    owners: BTreeMap<usize, Owner>,
    /// Each use is a second later than the one before, long ago.
    clock: u64,
    /// Whether the disk is large enough for everything.
    roomy: bool,
}

fn bytes_of(content: usize) -> Vec<u8> {
    (0..SIZES[content])
        .map(|at| (at + content as u64) as u8)
        .collect()
}

impl Model {
    fn on(dir: tempfile::TempDir, roomy: bool) -> Self {
        let place = |content| {
            let bytes = bytes_of(content);
            Place::Hash(hash::of_bytes(DigestAlgorithm::Md5, &bytes))
        };
        let mount = || Cache::open(dir.path().to_owned(), Some(LIMIT));
        Self {
            mounts: [mount(), mount()],
            places: (0..SIZES.len()).map(place).collect(),
            owners: BTreeMap::new(),
            clock: 0,
            roomy,
            dir,
        }
    }

    fn path(&self, content: usize) -> PathBuf {
        self.places[content].path(self.dir.path())
    }

    /// Gives a file a time of its own, in order, long ago.
    fn date(&mut self, file: &File) {
        self.clock += 1;
        let long_ago = SystemTime::now() - Duration::from_secs(100_000);
        file.set_modified(long_ago + Duration::from_secs(self.clock))
            .unwrap();
    }

    /// Puts a marker's time where the model's clock is.
    fn used_now(&mut self, content: usize) {
        let marker = self.places[content].marker(self.dir.path());
        if let Ok(marker) = File::options().write(true).open(marker) {
            self.date(&marker);
        }
    }

    fn added(&self) -> Vec<Added> {
        let mut all = Vec::new();
        self.mounts[0].index.scan(&mut |added| all.push(added));
        all
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Keep { mount, content } => self.keep(mount, content)?,
            Step::Find { mount, content } => {
                let place = self.places[content];
                let found = self.mounts[mount].open_hit(&place, Some(SIZES[content]));
                let there = matches!(self.owners.get(&content), Some(Owner::Mount | Owner::Sdk));
                prop_assert_eq!(found.is_some(), there);
                if found.is_some() {
                    self.used_now(content);
                }
            }
            Step::SdkAdds(content) => {
                let path = self.path(content);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                let aside = path.with_extension("tmp");
                std::fs::write(&aside, bytes_of(content)).unwrap();
                // Within one tick of the clock even a file with the same inode could pass for ours.
                self.date(&File::options().write(true).open(&aside).unwrap());
                std::fs::rename(aside, path).unwrap();
                self.owners.insert(content, Owner::Sdk);
            }
            Step::Vanishes(content) => {
                let _not_there = std::fs::remove_file(self.path(content));
                self.owners.remove(&content);
            }
            Step::Torn(content) => {
                let path = self.path(content);
                if SIZES[content] > 0 && path.exists() {
                    std::fs::remove_file(&path).unwrap();
                    std::fs::write(path, "").unwrap();
                    self.owners.insert(content, Owner::Torn);
                }
            }
            Step::DiesCounted(content) => {
                let room = &self.mounts[0].room;
                room.count_without_adding(SIZES[content]).unwrap();
            }
            Step::DiesMarked(content) => {
                let file = tempfile::tempfile_in(self.dir.path()).unwrap();
                self.date(&file);
                self.mounts[0]
                    .index
                    .mark(&self.places[content], &file)
                    .unwrap();
                // The marker that it replaced vouched for what lies there.
                if self.owners.get(&content) == Some(&Owner::Mount) {
                    self.owners.insert(content, Owner::Sdk);
                }
            }
            Step::Restart(mount) => self.restart(mount),
            Step::LosesLedger => {
                let _not_there = std::fs::remove_file(self.dir.path().join("wandbfs/ledger"));
                self.restart(0);
                self.restart(1);
            }
            Step::Collect(limit) => {
                let keeper = CacheKeeper::new(self.dir.path().to_owned(), Some(LIMIT));
                keeper.collect(Some(limit)).unwrap();
                let left: u64 = self.added().iter().map(|added| added.size).sum();
                prop_assert!(left <= limit, "{} after gc {}", left, limit);
            }
        }
        Ok(())
    }

    fn restart(&mut self, mount: usize) {
        self.mounts[mount] = Cache::open(self.dir.path().to_owned(), Some(LIMIT));
        self.mounts[mount].tidy_if_needed();
    }

    fn keep(&mut self, mount: usize, content: usize) -> Result<(), TestCaseError> {
        let (bytes, place) = (bytes_of(content), self.places[content]);
        let size = SIZES[content];
        let cache = &self.mounts[mount];
        let scratch = cache.scratch(size).unwrap();
        cache.write(&scratch, &[(0, &bytes)]).unwrap();
        let kept = cache.keep(&scratch, Some(&place), size);
        let shared = matches!(kept, Kept::Shared(_));
        let mut read = vec![0; bytes.len()];
        kept.file().read_exact_at(&mut read, 0).unwrap();
        prop_assert_eq!(read, bytes, "what the reader has");
        prop_assert!(shared || !self.roomy, "not kept");
        if shared {
            self.owners.entry(content).or_insert(Owner::Mount);
            if self.owners[&content] == Owner::Torn {
                self.owners.insert(content, Owner::Mount);
            }
            self.used_now(content);
        }
        Ok(())
    }

    /// What must be true whatever happened; `before` are the markers before the last step.
    fn check(&mut self, before: &[Added]) -> Result<(), TestCaseError> {
        let added = self.added();
        let total: u64 = added.iter().map(|added| added.size).sum();
        prop_assert!(total <= LIMIT, "{} bytes over {}", total, LIMIT);
        let counted = self.mounts[0].used();
        prop_assert!(counted >= total, "{} counted of {}", counted, total);
        for content in 0..SIZES.len() {
            let found = std::fs::read(self.path(content)).ok();
            match self.owners.get(&content) {
                Some(Owner::Sdk) => prop_assert_eq!(found, Some(bytes_of(content)), "the SDK's"),
                Some(Owner::Torn) => prop_assert!(found.is_some()),
                Some(Owner::Mount) if found.is_some() => {
                    prop_assert_eq!(found, Some(bytes_of(content)));
                    let place = self.places[content];
                    prop_assert!(added.iter().any(|added| added.place == place), "unmarked");
                }
                // Evicted.
                Some(Owner::Mount) => drop(self.owners.remove(&content)),
                None => prop_assert!(found.is_none(), "nobody added it"),
            }
        }
        // What went was used before everything that stayed.
        let here: BTreeSet<_> = added.iter().map(|added| added.place.name()).collect();
        let is_here = |added: &&Added| here.contains(&added.place.name());
        let stayed = before.iter().filter(is_here).map(|added| added.used).min();
        let evicted = before.iter().filter(|added| !is_here(added));
        let last = evicted.map(|added| added.used).max();
        if let (Some(stayed), Some(last)) = (stayed, last) {
            prop_assert!(last <= stayed, "not the least recently used");
        }
        Ok(())
    }
}

/// Whether a step takes blobs away on its own account, so that it says nothing about eviction.
fn removes(step: &Step) -> bool {
    use Step::{DiesMarked, SdkAdds, Torn, Vanishes};
    matches!(step, SdkAdds(_) | Vanishes(_) | Torn(_) | DiesMarked(_))
}

fn run(dir: tempfile::TempDir, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model::on(dir, true);
    for step in steps {
        let before = match removes(&step) {
            true => Vec::new(),
            false => model.added(),
        };
        model.take(step)?;
        model.check(&before)?;
    }
    // Whoever died in between, a count rights the ledger and nothing stays behind.
    model.mounts[0].tidy();
    let total: u64 = model.added().iter().map(|added| added.size).sum();
    prop_assert_eq!(model.mounts[1].used(), total);
    let partial = model.dir.path().join("wandbfs/partial");
    let left = std::fs::read_dir(partial).map_or(0, Iterator::count);
    prop_assert_eq!(left, 0);
    Ok(())
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn the_limit_holds_the_sdks_files_stay_and_the_oldest_go_whoever_dies(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        run(tempfile::tempdir().unwrap(), steps)?;
    }
}

#[test]
fn an_addition_does_not_wait_for_the_count_at_start_up() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Arc::new(Cache::open(dir.path().to_owned(), Some(LIMIT)));
    let keep = |content: usize| {
        let place = Place::Hash(hash::of_bytes(DigestAlgorithm::Md5, &bytes_of(content)));
        let scratch = cache.scratch(SIZES[content]).unwrap();
        cache.write(&scratch, &[(0, &bytes_of(content))]).unwrap();
        matches!(
            cache.keep(&scratch, Some(&place), SIZES[content]),
            Kept::Shared(_)
        )
    };
    assert!(keep(2));
    // In the middle of the count: a marker that is a pipe stops whoever reads it.
    let stop = dir.path().join("wandbfs/index/md5/00");
    std::fs::create_dir_all(&stop).unwrap();
    let pipe = stop.join("0".repeat(30));
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let counting = {
        let cache = Arc::clone(&cache);
        std::thread::spawn(move || cache.tidy())
    };
    // Opening for writing waits until the count is there.
    let held = File::options().write(true).open(&pipe).unwrap();
    assert!(keep(3), "added while the count is under way");
    drop(held);
    counting.join().unwrap();
    assert!(
        cache.used() >= SIZES[2] + SIZES[3],
        "what was added meanwhile is counted"
    );
}

#[test]
fn several_at_once_that_cannot_all_be_kept_push_out_no_more_than_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::on(dir, true);
    for content in [2, 3, 4] {
        model.keep(0, content).unwrap();
    }
    let cache = &model.mounts[0];
    let scratches = [5, 6].map(|content| {
        let scratch = cache.scratch(SIZES[content]).unwrap();
        cache.write(&scratch, &[(0, &bytes_of(content))]).unwrap();
        (scratch, Some(model.places[content]), SIZES[content])
    });
    let [first, second] = &scratches;
    let both = [
        (&first.0, first.1, first.2),
        (&second.0, second.1, second.2),
    ];
    assert!(both.iter().map(|(.., size)| size).sum::<u64>() > LIMIT);
    let kept = cache.keep_all(&both);
    assert!(kept.iter().all(|kept| matches!(kept, Kept::Shared(_))));
    let left: Vec<u64> = model.added().iter().map(|added| added.size).collect();
    assert_eq!(left, [SIZES[6]], "the last one leaves no room for others");
    let [(scratch, place, _), _] = &both;
    let kept = cache.keep_all(&[(*scratch, *place, 2 * LIMIT)]);
    assert!(matches!(kept[..], [Kept::Private(_)]));
    assert_eq!(model.added().len(), 1, "nothing went for what cannot come");
}
