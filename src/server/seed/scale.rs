//! Seeds that are large in one direction.

use rusqlite::params;
use serde_json::json;

use super::writer::{About, Content, EPOCH, Writer};
use crate::server::store::{
    StoreError, aliases,
    commit::{self, publish},
    time, versions,
    writing::insert_membership,
};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Project of all seeds of scale.
const PROJECT: &str = "scale";

/// Type of all their collections.
const TYPE: &str = "dataset";

/// Files in a directory of `files=N`.
const PER_DIRECTORY: usize = 1000;

/// Up to so many files each has a content of its own.
const DISTINCT: usize = 10_000;

/// Contents that more files share.
const SHARED: usize = 1000;

/// `versions=N`.
pub(super) fn versions(writer: &mut Writer<'_>, count: usize) -> Result<()> {
    let project = writer.project(writer.username, PROJECT, Some("Seeds of scale"))?;
    let Some(sequence) = writer.collection(
        project.id,
        TYPE,
        "versions",
        Some("Many versions of one small file"),
        &[],
    )?
    else {
        return Ok(());
    };
    if count == 0 {
        return Ok(());
    }
    let blob = writer.store(b"the same in every version\n")?;
    let about = About {
        metadata: Some(json!({"index": 0})),
        ..About::default()
    };
    let first = writer.version(
        &sequence,
        &about,
        [Ok(("data.txt".to_owned(), Content::Stored(blob)))].into_iter(),
    )?;
    aliases::set(writer.tx, sequence.id, first.id, "first")?;
    let mut insert = writer.tx.prepare(
        "INSERT INTO artifacts (sequence_id, digest, state, metadata, size, file_count, manifest_id, user_id, created_at, updated_at)
         VALUES (?1, ?2, 'COMMITTED', ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
    )?;
    for index in 1..count as i64 {
        insert.execute(params![
            sequence.id,
            first.digest,
            json!({"index": index}).to_string(),
            first.size,
            first.file_count,
            first.manifest_id,
            writer.viewer.user_id,
            time::at(EPOCH + index * 60),
        ])?;
        let id = writer.tx.last_insert_rowid();
        insert_membership(writer.tx, sequence.id, id, index, "COMMITTED")?;
        if index + 1 == count as i64 {
            aliases::set(writer.tx, sequence.id, id, "latest")?;
        }
    }
    writer.tx.execute(
        "UPDATE collections SET next_index = ?2 WHERE id = ?1",
        params![sequence.id, count],
    )?;
    Ok(())
}

/// `files=N`.
pub(super) fn files(writer: &mut Writer<'_>, count: usize) -> Result<()> {
    let project = writer.project(writer.username, PROJECT, Some("Seeds of scale"))?;
    let Some(sequence) = writer.collection(
        project.id,
        TYPE,
        "files",
        Some("Many files in one version"),
        &[],
    )?
    else {
        return Ok(());
    };
    let contents = if count > DISTINCT { SHARED } else { count };
    let stored = (0..contents)
        .map(|index| writer.store(format!("file {index}\nof {contents} contents\n").as_bytes()))
        .collect::<Result<Vec<_>>>()?;
    let entries = (0..count).map(|index| {
        let path = format!("dir-{:04}/file-{index:07}.txt", index / PER_DIRECTORY);
        Ok((path, Content::Stored(stored[index % contents])))
    });
    writer.version(&sequence, &About::default(), entries)?;
    Ok(())
}

/// `artifacts=N`.
pub(super) fn artifacts(writer: &mut Writer<'_>, count: usize) -> Result<()> {
    let project = writer.project(writer.username, PROJECT, Some("Seeds of scale"))?;
    let mut shared: Option<(i64, String, commit::Contents)> = None;
    for index in 0..count {
        let name = format!("artifact-{index:06}");
        let Some(sequence) = writer.collection(project.id, TYPE, &name, None, &[])? else {
            continue;
        };
        let about = About {
            at: index as i64,
            ..About::default()
        };
        let Some((manifest, digest, contents)) = &shared else {
            let blob = writer.store(b"the same in every artifact\n")?;
            let entries = [Ok(("data.txt".to_owned(), Content::Stored(blob)))].into_iter();
            let first = writer.version(&sequence, &about, entries)?;
            if let Some(manifest) = first.manifest_id {
                shared = Some((
                    manifest,
                    first.digest,
                    commit::measure(writer.tx, manifest)?,
                ));
            }
            continue;
        };
        // One manifest serves all: they have the same content.
        let id = writer.pending(&sequence, &about)?;
        writer
            .tx
            .prepare_cached("UPDATE artifacts SET digest = ?2 WHERE id = ?1")?
            .execute(params![id, digest])?;
        let row =
            versions::version(writer.tx, id)?.ok_or_else(|| StoreError::not_found("artifact"))?;
        publish(
            writer.tx,
            writer.viewer,
            &sequence,
            &row,
            *manifest,
            *contents,
        )?;
    }
    Ok(())
}
