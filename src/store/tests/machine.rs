//! A store under random interleavings of readers, short reads, failures, wrong bytes and evictions,
//! with another store on the same directory: right bytes or an honest error, and a clean cache.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::runtime;

use super::cases;
use super::double::{Fault, Setup, World, noise};
use crate::model::{Blobs as _, Content, Digest, DigestAlgorithm, Error, ErrorKind, OpenBlob};
use crate::store::{CacheKeeper, Store, hash};

/// Small contents and such as come in ranges, around the border too.
const SIZES: [usize; 6] = [0, 1, 40_000, 1 << 20, (1 << 20) + 1, 1_700_000];

/// Some of them fit together, not all.
const LIMIT: u64 = 2_900_000;

/// Longer than any case may take; only reached when a reader waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

static CONTENTS: LazyLock<Vec<(Bytes, Digest)>> = LazyLock::new(|| {
    let content = |(n, size): (usize, &usize)| {
        let bytes = Bytes::from(noise(*size, n as u64 + 7));
        let digest = hash::of_bytes(DigestAlgorithm::Md5, &bytes);
        (bytes, digest)
    };
    SIZES.iter().enumerate().map(content).collect()
});

#[derive(Debug, Clone)]
enum Step {
    Open {
        store: usize,
        file: usize,
    },
    Read {
        handle: usize,
        at: usize,
        length: u32,
    },
    Whole {
        handle: usize,
    },
    Close {
        handle: usize,
    },
    /// Somebody removes the file from the cache.
    Evict {
        file: usize,
    },
    /// What one of the next requests gets.
    Fault(Fault),
    /// Somebody wants the cache smaller.
    Collect {
        store: usize,
    },
}

/// Steps; those of an inner list happen at once.
fn steps(faults: bool) -> impl Strategy<Value = Vec<Vec<Step>>> {
    let handle = 0..6usize;
    let fault = prop_oneof![
        4 => (0..200_000usize).prop_map(Fault::Truncate),
        1 => Just(Fault::Status(503)),
        1 => Just(Fault::WrongRange),
        1 => Just(Fault::Corrupt),
    ];
    let length = prop_oneof![Just(4096u32), Just(131_072), 1..700_000u32];
    let step = prop_oneof![
        5 => (0..2usize, 0..SIZES.len()).prop_map(|(store, file)| Step::Open { store, file }),
        12 => (handle.clone(), 0..2_400_000usize, length)
            .prop_map(|(handle, at, length)| Step::Read { handle, at, length }),
        1 => handle.clone().prop_map(|handle| Step::Whole { handle }),
        2 => handle.prop_map(|handle| Step::Close { handle }),
        2 => (0..SIZES.len()).prop_map(|file| Step::Evict { file }),
        u32::from(faults) * 3 => fault.prop_map(Step::Fault),
        1 => (0..2usize).prop_map(|store| Step::Collect { store }),
    ];
    let at_once = proptest::collection::vec(step, 1..5);
    proptest::collection::vec(at_once, 1..10)
}

/// A reader, and what it was given.
struct Reader {
    file: usize,
    blob: Arc<dyn OpenBlob>,
    given_wrong: Mutex<bool>,
}

struct Machine {
    world: World,
    stores: [Store; 2],
    files: Vec<Content>,
    readers: Mutex<Vec<Arc<Reader>>>,
    corrupted: Mutex<bool>,
}

impl Machine {
    async fn new() -> Self {
        let setup = || Setup {
            limit: LIMIT,
            memory: 0,
            deadline: Duration::from_secs(20),
            ..Setup::default()
        };
        let world = World::with(setup()).await;
        let stores = [world.store.clone(), world.second_store(&setup())];
        let stored = |(n, (bytes, digest)): (usize, &(Bytes, Digest))| {
            world.stored_as(&format!("f{n}"), bytes.clone(), *digest)
        };
        let files = CONTENTS.iter().enumerate().map(stored).collect();
        Self {
            stores,
            files,
            world,
            readers: Mutex::default(),
            corrupted: Mutex::default(),
        }
    }

    fn reader(&self, handle: usize) -> Option<Arc<Reader>> {
        let readers = self.readers.lock();
        let count = readers.len().max(1);
        readers.get(handle % count).cloned()
    }

    async fn take(&self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Open { store, file } => {
                let blob = self.stores[store].open(&self.files[file], None).await;
                let given_wrong = Mutex::default();
                let blob = blob.map_err(|error| failed(&error))?;
                let reader = Reader {
                    file,
                    blob,
                    given_wrong,
                };
                self.readers.lock().push(Arc::new(reader));
            }
            Step::Read { handle, at, length } => {
                if let Some(reader) = self.reader(handle) {
                    self.read(&reader, at, length).await?;
                }
            }
            Step::Whole { handle } => {
                let Some(reader) = self.reader(handle) else {
                    return Ok(());
                };
                match reader.blob.whole_file().await {
                    Ok(file) => {
                        let length = file.metadata().unwrap().len();
                        prop_assert_eq!(length, SIZES[reader.file] as u64);
                    }
                    Err(error) => self.allow(&error)?,
                }
            }
            Step::Close { handle } => {
                let mut readers = self.readers.lock();
                let count = readers.len();
                if count > 0 {
                    readers.swap_remove(handle % count);
                }
            }
            Step::Evict { file } => {
                let _not_there = std::fs::remove_file(self.world.blob_path(&self.files[file]));
            }
            Step::Fault(fault) => {
                *self.corrupted.lock() |= matches!(fault, Fault::Corrupt);
                self.world.fail([fault]);
            }
            Step::Collect { store } => {
                let store = self.stores[store].clone();
                tokio::task::spawn_blocking(move || store.tidy())
                    .await
                    .unwrap();
            }
        }
        Ok(())
    }

    async fn read(&self, reader: &Reader, at: usize, length: u32) -> Result<(), TestCaseError> {
        let content = &CONTENTS[reader.file].0;
        let at = at % (content.len() + 1);
        match reader.blob.read_at(at as u64, length).await {
            Ok(read) => {
                let end = (at + length as usize).min(content.len());
                prop_assert_eq!(read.len(), end - at, "length at {}", at);
                if read[..] != content[at..end] {
                    // A large content is handed up before its end is known to be right.
                    let unverified = content.len() > 1 << 20 && *self.corrupted.lock();
                    prop_assert!(unverified, "wrong bytes at {} of file {}", at, reader.file);
                    *reader.given_wrong.lock() = true;
                }
                Ok(())
            }
            Err(error) => self.allow(&error),
        }
    }

    /// Failures of the wire are survived; wrong bytes, and nothing else, may be an error.
    fn allow(&self, error: &Error) -> Result<(), TestCaseError> {
        let expected = *self.corrupted.lock() && error.kind() == ErrorKind::Corrupt;
        match expected {
            true => Ok(()),
            false => Err(failed(error)),
        }
    }

    /// Quiet again: everything can be read, and whoever was given wrong bytes is told.
    async fn settle(&self) -> Result<(), TestCaseError> {
        self.world.server.faults.lock().clear();
        for (n, file) in self.files.iter().enumerate() {
            let mut last = None;
            for _ in 0..4 {
                let blob = self.stores[n % 2].open(file, None).await;
                let blob = blob.map_err(|error| failed(&error))?;
                match super::double::read_all(&*blob, 300_000).await {
                    Ok(read) => {
                        prop_assert!(read[..] == CONTENTS[n].0[..], "file {} at the end", n);
                        last = None;
                        break;
                    }
                    Err(error) => last = Some(error),
                }
            }
            if let Some(error) = last {
                return Err(failed(&error));
            }
        }
        let readers = self.readers.lock().clone();
        for reader in readers {
            // Of the other store, the file that was wrong may not have been thrown away yet.
            let all = super::double::read_all(&*reader.blob, 300_000).await;
            let given_wrong = *reader.given_wrong.lock();
            prop_assert_eq!(
                given_wrong,
                all.is_err() && given_wrong,
                "told of wrong bytes"
            );
        }
        Ok(())
    }
}

/// What lies in the cache after everybody is gone.
fn check_cache(dir: &Path) -> Result<(), TestCaseError> {
    let keeper = CacheKeeper::new(dir.to_owned(), Some(LIMIT));
    let counted = keeper.collect(None).unwrap();
    prop_assert!(counted.bytes <= LIMIT, "{} bytes", counted.bytes);
    let verified = keeper.verify(|_| ());
    prop_assert_eq!((verified.corrupt, verified.bytes), (0, counted.bytes));
    let mut strangers = Vec::new();
    let all: Result<(), std::convert::Infallible> = keeper.each(|file| {
        if !file.added {
            strangers.push(file.name);
        }
        Ok(())
    });
    prop_assert_eq!((all, strangers), (Ok(()), Vec::new()));
    let left = std::fs::read_dir(dir.join("wandbfs/partial"));
    prop_assert_eq!(left.map_or(0, Iterator::count), 0);
    Ok(())
}

fn failed(error: &Error) -> TestCaseError {
    TestCaseError::fail(format!("{:?}: {}", error.kind(), error.chain()))
}

fn run(steps: Vec<Vec<Step>>) -> Result<(), TestCaseError> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let dir = runtime.block_on(async {
        let work = async {
            let machine = Machine::new().await;
            for at_once in steps {
                let taken = at_once.into_iter().map(|step| machine.take(step));
                for done in join_all(taken).await {
                    done?;
                }
            }
            machine.settle().await?;
            Ok(machine.world.dir)
        };
        let timed = tokio::time::timeout(PATIENCE, work).await;
        timed.unwrap_or_else(|_| Err(TestCaseError::fail("somebody waits for ever")))
    })?;
    // Its end is the end of what is still written in the background.
    drop(runtime);
    check_cache(dir.path())
}

proptest! {
    #![proptest_config(cases(10))]

    #[test]
    fn readers_get_right_bytes_whatever_is_evicted_and_however_short_bodies_are(
        steps in steps(false),
    ) {
        run(steps)?;
    }

    #[test]
    fn readers_get_right_bytes_or_hear_that_they_were_wrong(steps in steps(true)) {
        run(steps)?;
    }
}
