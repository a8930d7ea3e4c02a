//! `UseRecorder` against the embedded server: once, without waiting, through an outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use wandbfs::model::{
    Blobs, Content, Error, OpenBlob, Origin, PageRequest, RunArtifactsMode, RunPath, StoredAt,
    Upcoming, VersionPath,
};
use wandbfs::wandb::UseRecorder;

use super::world::{World, world};

/// Content of eight bytes whatever is asked for.
#[derive(Default)]
struct Eight {
    reads: Arc<AtomicUsize>,
}

#[async_trait]
impl Blobs for Eight {
    async fn open(
        &self,
        _: &Content,
        _: Option<Arc<dyn Upcoming>>,
    ) -> Result<Arc<dyn OpenBlob>, Error> {
        let reads = Arc::clone(&self.reads);
        Ok(Arc::new(Eight { reads }))
    }

    fn cached(&self, _: &Content) -> f64 {
        0.0
    }
}

#[async_trait]
impl OpenBlob for Eight {
    async fn read_at(&self, _: u64, _: u32) -> Result<Bytes, Error> {
        self.reads.fetch_add(1, SeqCst);
        Ok(Bytes::from_static(b"12345678"))
    }

    async fn len(&self) -> Result<u64, Error> {
        Ok(8)
    }

    fn file(&self) -> Option<Arc<std::fs::File>> {
        None
    }

    async fn whole_file(&self) -> Result<Arc<std::fs::File>, Error> {
        Ok(Arc::new(tempfile::tempfile().unwrap()))
    }
}

async fn content(world: &World, name: &str) -> Content {
    let version = world.version(name).await;
    let at = StoredAt {
        version: Arc::new(VersionPath {
            collection: version.collection.clone(),
            index: version.index,
        }),
        artifact: version.id,
        path: "a".into(),
        digest: "".into(),
        size: Some(8),
        birth_artifact: None,
        layout_v2: true,
        region: None,
    };
    Content {
        origin: Origin::Stored(at),
        digest: None,
        size: Some(8),
    }
}

struct Recording {
    recorder: UseRecorder,
    watched: Arc<dyn Blobs>,
    run: RunPath,
}

async fn record(world: &World) -> Recording {
    let run = world.client.run_path("scale/reader").await.unwrap();
    let recorder = UseRecorder::start(Arc::new(world.client.clone()), run.clone());
    let watched = recorder.watch(Arc::new(Eight::default()));
    Recording {
        recorder,
        watched,
        run,
    }
}

async fn inputs(world: &World, run: &RunPath) -> Vec<u64> {
    let page = PageRequest::default();
    let used = world
        .hub()
        .run_artifacts(run, RunArtifactsMode::Used, &page);
    let Ok(used) = used.await else {
        return Vec::new(); // the run does not exist before its first input
    };
    let mut indexes: Vec<u64> = used.items.iter().map(|v| v.index.0).collect();
    indexes.sort_unstable();
    indexes
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_read_is_recorded_once_and_what_is_only_opened_is_not() {
    let world = world().await;
    let recording = record(&world).await;
    for name in ["versions:v0", "versions:v2"] {
        let content = content(&world, name).await;
        for _ in 0..3 {
            let blob = recording.watched.open(&content, None).await.unwrap();
            for _ in 0..3 {
                assert_eq!(blob.read_at(0, 8).await.unwrap().len(), 8);
            }
        }
    }
    let opened = content(&world, "versions:v1").await;
    let blob = recording.watched.open(&opened, None).await.unwrap();
    assert_eq!(blob.len().await.unwrap(), 8);
    assert_eq!(recording.recorder.finish(PATIENCE).await, 0);
    assert_eq!(inputs(&world, &recording.run).await, [0, 2]);
    assert_eq!(world.count("UseArtifact").await, 2);
}

#[tokio::test]
async fn a_server_that_is_away_neither_blocks_reads_nor_loses_them() {
    let world = world().await;
    let recording = record(&world).await;
    let content = content(&world, "versions:v1").await;
    world.fault("UseArtifact", json!({ "kind": "stall" })).await;
    let blob = recording.watched.open(&content, None).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, blob.read_at(0, 8)).await;
    assert_eq!(read.unwrap().unwrap().len(), 8);
    assert_eq!(inputs(&world, &recording.run).await, [0; 0]);
    // New knobs let the stalled request go on.
    world
        .fault(
            "UseArtifact",
            json!({ "kind": "status", "status": 500, "count": 2 }),
        )
        .await;
    assert_eq!(recording.recorder.finish(PATIENCE).await, 0);
    assert_eq!(inputs(&world, &recording.run).await, [1]);
}

#[tokio::test]
async fn the_end_waits_within_its_bound_and_says_what_is_left() {
    let world = world().await;
    let recording = record(&world).await;
    let content = content(&world, "versions:v1").await;
    world
        .fault("UseArtifact", json!({ "kind": "stall", "count": 1000 }))
        .await;
    let blob = recording.watched.open(&content, None).await.unwrap();
    blob.read_at(0, 8).await.unwrap();
    let bound = Duration::from_millis(300);
    let ended = tokio::time::timeout(PATIENCE, recording.recorder.finish(bound)).await;
    assert_eq!(ended.unwrap(), 1);
}
