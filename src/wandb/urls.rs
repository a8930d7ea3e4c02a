//! Addresses of stored content: presigned ones in bulk, and the download handler's (protocol §9).

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use url::Url;

use super::answers::*;
use super::client::Client;
use super::failure::Failure;
use super::hub::{listing, variables};
use super::operations as op;
use super::transport::Variables;
use super::wire::{Connection, File};
use crate::model::{Digest, Error, ErrorKind, ListOptions, PageRequest, StoredAt};

/// Files per request. The SDK asks for up to 5,000; a thousand keeps one answer below a megabyte.
const FILES_PER_REQUEST: usize = 1000;

/// Letters, digits, `_.-~` and `/` stand as they are in a handler's URL.
const HANDLER_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'.')
    .remove(b'-')
    .remove(b'~')
    .remove(b'/');

impl Client {
    /// Presigned URLs for `files`, in their order; files of several versions are grouped.
    pub(crate) async fn urls_of(&self, files: &[StoredAt]) -> Result<Vec<Option<String>>, Error> {
        let mut urls = vec![None; files.len()];
        let mut versions: Vec<(&StoredAt, Vec<usize>)> = Vec::new();
        for (place, file) in files.iter().enumerate() {
            match versions
                .iter_mut()
                .find(|(first, _)| is_same_version(first, file))
            {
                Some((_, places)) => places.push(place),
                None => versions.push((file, vec![place])),
            }
        }
        for (_, places) in versions {
            for places in places.chunks(FILES_PER_REQUEST) {
                let batch: Vec<&StoredAt> = places.iter().map(|place| &files[*place]).collect();
                let mut found = self.urls_of_batch(&batch).await?;
                for place in places {
                    urls[*place] = found.remove(&*files[*place].path);
                }
            }
        }
        Ok(urls)
    }

    /// URLs by name, for files of one version.
    async fn urls_of_batch(&self, files: &[&StoredAt]) -> Result<HashMap<String, String>, Error> {
        match self.urls_by_entries(files).await {
            Ok(found) => Ok(found),
            Err(failure) => {
                let error = Error::from(failure);
                if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Invalid) {
                    tracing::debug!("URLs are asked by name instead: {}", error.chain());
                    Ok(self.urls_by_name(files).await?)
                } else {
                    Err(error)
                }
            }
        }
    }

    async fn urls_by_entries(
        &self,
        files: &[&StoredAt],
    ) -> Result<HashMap<String, String>, Failure> {
        let entries: Vec<Value> = files.iter().map(|file| entry(file)).collect();
        let asked = json!({
            "id": files[0].artifact.as_str(),
            "entries": entries,
            "storageLayout": if files[0].layout_v2 { "V2" } else { "V1" },
            "manifestVersion": "1",
            "storageRegion": files[0].region.as_deref(),
        });
        let operation = op::ARTIFACT_FILE_URLS_BY_MANIFEST_ENTRIES;
        let node = files[0].version.to_string();
        let answer = self
            .execute::<ArtifactAnswer<FilesByEntriesOf>>(operation, &node, variables(asked))
            .await?;
        let found = answer
            .artifact
            .and_then(|artifact| artifact.files_by_manifest_entries);
        Ok(by_name(found))
    }

    async fn urls_by_name(&self, files: &[&StoredAt]) -> Result<HashMap<String, String>, Failure> {
        let names: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        let path = &files[0].version;
        let size = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let mut asked: Variables = listing(
            super::hub::project_variables(&path.collection.project),
            &PageRequest::default(),
            size,
            &ListOptions::default(),
        );
        asked.insert("collection".into(), json!(path.collection.name.as_str()));
        asked.insert("alias".into(), json!(path.index.to_string()));
        asked.insert("fileNames".into(), json!(names));
        let operation = op::GET_ARTIFACT_MEMBERSHIP_FILE_URLS;
        let answer = self
            .execute::<CollectionAnswer<MembershipOf>>(operation, &path.to_string(), asked)
            .await?;
        let found = answer
            .project
            .and_then(|project| project.artifact_collection);
        let found = found.and_then(|collection| collection.artifact_membership);
        Ok(by_name(found.and_then(|membership| membership.files)))
    }
}

fn is_same_version(one: &StoredAt, other: &StoredAt) -> bool {
    one.artifact == other.artifact && one.layout_v2 == other.layout_v2 && one.region == other.region
}

fn entry(file: &StoredAt) -> Value {
    let mut entry = json!({ "name": &*file.path, "digest": &*file.digest });
    if let Some(birth) = &file.birth_artifact {
        entry["birthArtifactID"] = json!(birth.as_str());
    }
    if let Some(size) = file.size {
        entry["size"] = json!(size);
    }
    entry
}

fn by_name(found: Option<Connection<File>>) -> HashMap<String, String> {
    let nodes = found.into_iter().flat_map(Connection::into_nodes);
    let pairs = nodes.filter_map(|file| Some((file.name?, file.direct_url?)));
    pairs.filter(|(_, url)| !url.is_empty()).collect()
}

/// The address of a content at the download handler (protocol §9.3), for when there is no presigned
/// URL or it failed. `with_artifact_id` says whether the server reports
/// `ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID`.
///
/// The base name is not encoded by the SDK; servers ignore it. Here `#`, `?`, `%` and what no URL
/// may hold are encoded, because a broken URL helps nobody.
///
/// # Errors
/// [`ErrorKind::Invalid`] when `base` cannot be a base, which a checked configuration excludes.
pub fn handler_url(
    base: &Url,
    file: &StoredAt,
    digest: Digest,
    with_artifact_id: bool,
) -> Result<Url, Error> {
    let encode = |text: &str| utf8_percent_encode(text, HANDLER_SET).to_string();
    let project = &file.version.collection.project;
    let entity = encode(project.entity.as_str());
    let hex = digest.to_hex();
    let base = base.as_str().trim_end_matches('/');
    let text = if file.layout_v2 {
        let region = file.region.as_deref().unwrap_or("default");
        let collection = encode(file.version.collection.name.as_str());
        let artifact = if with_artifact_id {
            format!("{}/", encode(file.artifact.as_str()))
        } else {
            String::new()
        };
        let birth = file.birth_artifact.as_ref().map(|id| encode(id.as_str()));
        format!(
            "{base}/artifactsV2/{}/{entity}/{}/{collection}/{artifact}{}/{hex}/{}",
            encode(region),
            encode(project.project.as_str()),
            birth.unwrap_or_default(),
            encode(file.path.rsplit('/').next().unwrap_or_default()),
        )
    } else {
        format!("{base}/artifacts/{entity}/{hex}")
    };
    Url::parse(&text).map_err(|fault| {
        Error::caused_by(ErrorKind::Invalid, "", "no handler URL can be made", fault)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::model::{ArtifactId, DigestAlgorithm, NodePath, VersionIndex, VersionPath};

    fn stored(layout_v2: bool, birth: Option<&str>) -> StoredAt {
        let NodePath::Collection(collection) =
            NodePath::parse("team/my proj/dataset/mni st").unwrap()
        else {
            panic!("a collection")
        };
        let index = VersionIndex(3);
        StoredAt {
            version: Arc::new(VersionPath { collection, index }),
            artifact: ArtifactId::new("QXJ0aWZhY3Q6MTIz+/=="),
            path: "dir/a#b?.txt".into(),
            digest: "XUFAKrxLKna5cZ2REBfFkg==".into(),
            size: Some(5),
            birth_artifact: birth.map(ArtifactId::new),
            layout_v2,
            region: None,
        }
    }

    fn url(file: &StoredAt, with_artifact_id: bool) -> String {
        let base = Url::parse("http://127.0.0.1:8080").unwrap();
        let digest = Digest::from_base64(DigestAlgorithm::Md5, &file.digest).unwrap();
        handler_url(&base, file, digest, with_artifact_id)
            .unwrap()
            .to_string()
    }

    #[test]
    fn layout_v1_names_entity_and_digest_only() {
        assert_eq!(
            url(&stored(false, Some("QQ==")), true),
            "http://127.0.0.1:8080/artifacts/team/5d41402abc4b2a76b9719d911017c592"
        );
    }

    #[test]
    fn layout_v2_encodes_all_but_slashes_and_takes_the_artifact_id_where_it_is_known() {
        assert_eq!(
            url(&stored(true, Some("QQ==")), true),
            "http://127.0.0.1:8080/artifactsV2/default/team/my%20proj/mni%20st/\
             QXJ0aWZhY3Q6MTIz%2B/%3D%3D/QQ%3D%3D/5d41402abc4b2a76b9719d911017c592/a%23b%3F.txt"
        );
        assert_eq!(
            url(&stored(true, Some("QQ==")), false),
            "http://127.0.0.1:8080/artifactsV2/default/team/my%20proj/mni%20st/\
             QQ%3D%3D/5d41402abc4b2a76b9719d911017c592/a%23b%3F.txt"
        );
    }

    #[test]
    fn a_missing_birth_artifact_is_an_empty_segment() {
        assert!(url(&stored(true, None), false).contains("/mni%20st//5d41"));
    }
}
