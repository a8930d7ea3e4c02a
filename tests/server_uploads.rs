//! Large content through the API: parts up, ranges down.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::client::{Client, Refused, manifest_text};
use common::{Harness, md5, md5_hex};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

/// Bytes of a part. Clients make them 100 MiB; the server does not mind.
const PART: usize = 64 * 1024;

/// A pending version with one file that is announced in parts.
struct Upload {
    client: Client,
    artifact: String,
    content: Vec<u8>,
    node: Value,
}

impl Upload {
    async fn begin(harness: &Harness) -> Self {
        let server = &harness.server;
        let client = Client::new(server.base_url(), server.api_key(), server.entity(), "p");
        let content: Vec<u8> = (0..3 * PART + 100).map(|i| (i / 7 % 251) as u8).collect();
        let (artifact, _) = client.begin("big", &"0".repeat(32)).await.unwrap();
        let (manifest, _) = client.manifest(&artifact, "").await.unwrap();
        let parts: Vec<Value> = content
            .chunks(PART)
            .enumerate()
            .map(|(index, part)| json!({"partNumber": index + 1, "hexMD5": md5_hex(part)}))
            .collect();
        let input = json!({"storageLayout": "V2", "artifactFiles": [{"artifactID": artifact,
            "artifactManifestID": manifest, "name": "big.bin", "md5": md5(&content),
            "uploadPartsInput": parts}]});
        let query = "mutation($i: CreateArtifactFilesInput!) { createArtifactFiles(input: $i) {
            clientMutationId files { uploadHeaders edges { cursor node { storagePath uploadUrl
            uploadMultipartUrls { uploadID uploadUrlParts { partNumber uploadUrl } } } } } } }";
        let mut answer = client.ask(query, json!({ "i": input })).await.unwrap();
        let node = answer["createArtifactFiles"]["files"]["edges"][0]["node"].take();
        Self {
            client,
            artifact,
            content,
            node,
        }
    }

    /// Sends a part and answers its `ETag` as it is in the header.
    async fn send(&self, number: usize, bytes: &[u8]) -> Result<String, StatusCode> {
        let parts = &self.node["uploadMultipartUrls"]["uploadUrlParts"];
        let url = parts[number - 1]["uploadUrl"].as_str().unwrap();
        let request = self.client.http.put(url).body(bytes.to_vec());
        let answer = request.send().await.unwrap();
        match answer.status() {
            StatusCode::OK => Ok(answer.headers()["etag"].to_str().unwrap().to_owned()),
            status => Err(status),
        }
    }

    async fn complete(&self, parts: Vec<Value>) -> Result<Value, Refused> {
        let input = json!({"completeMultipartAction": "Complete", "completedParts": parts,
            "artifactID": self.artifact, "storagePath": self.node["storagePath"],
            "uploadID": self.node["uploadMultipartUrls"]["uploadID"]});
        let query = "mutation($i: CompleteMultipartUploadArtifactInput!) {
            completeMultipartUploadArtifact(input: $i) { digest clientMutationId } }";
        self.client.ask(query, json!({ "i": input })).await
    }
}

#[tokio::test]
async fn parts_become_a_file_that_can_be_read_in_ranges() {
    let harness = Harness::new().await;
    let upload = Upload::begin(&harness).await;
    let urls = &upload.node["uploadMultipartUrls"]["uploadUrlParts"];
    assert_eq!(urls.as_array().unwrap().len(), 4);
    assert_eq!(
        upload.send(2, b"other bytes").await,
        Err(StatusCode::BAD_REQUEST)
    );
    let mut parts = Vec::new();
    // In any order, as parallel senders do.
    for number in [3, 1, 4, 2] {
        let part = upload.content.chunks(PART).nth(number - 1).unwrap();
        let etag = upload.send(number, part).await.unwrap();
        assert_eq!(etag, format!("\"{}\"", md5_hex(part)));
        parts.push(json!({"partNumber": number, "hexMD5": etag}));
    }
    assert!(upload.complete(parts[..3].to_vec()).await.is_err());
    let answer = upload.complete(parts.clone()).await.unwrap();
    let digest = &answer["completeMultipartUploadArtifact"]["digest"];
    assert_eq!(digest, &md5(&upload.content));
    // Who gave up waiting and asks again gets the same answer.
    let again = upload.complete(parts).await.unwrap();
    assert_eq!(&again["completeMultipartUploadArtifact"]["digest"], digest);
    let entry = json!({"digest": digest, "size": upload.content.len()});
    let text = manifest_text(&Map::from_iter([("big.bin".to_owned(), entry)]));
    let client = &upload.client;
    let (id, _) = client.manifest(&upload.artifact, "").await.unwrap();
    let query = "mutation($id: ID!, $digest: String) { updateArtifactManifest(input: {
        artifactManifestID: $id, digest: $digest}) { clientMutationId artifactManifest { id digest
        type createdAt artifact { id } file { uploadUrl } } } }";
    let variables = json!({"id": id, "digest": md5(&text)});
    let updated = client.ask(query, variables).await.unwrap();
    let updated = &updated["updateArtifactManifest"]["artifactManifest"];
    assert_eq!(updated["digest"], md5(&text));
    let url = updated["file"]["uploadUrl"].as_str().unwrap();
    client.put(url, text).await.unwrap();
    client.commit(&upload.artifact).await.unwrap();
    let versions = client.versions("big").await.unwrap();
    let file = &versions[0]["node"]["files"]["edges"][0]["node"];
    let url = file["directUrl"].as_str().unwrap();
    let mut read = Vec::new();
    for start in (0..upload.content.len()).step_by(PART) {
        let range = format!("bytes={start}-{}", start + PART - 1);
        let answer = harness.get(url, &[("range", &range)]).await;
        assert_eq!(answer.status(), 206);
        read.extend(answer.bytes().await.unwrap());
    }
    assert_eq!(read, upload.content);
    // The parts are not kept besides the whole.
    let first = md5_hex(&upload.content[..PART]);
    let blob = harness
        .dir
        .path()
        .join("blobs")
        .join(&first[..2])
        .join(&first[2..]);
    assert!(!blob.exists());
}

#[tokio::test]
async fn what_this_server_cannot_do_is_said_and_not_pretended() {
    let harness = Harness::new().await;
    let server = &harness.server;
    let client = Client::new(server.base_url(), server.api_key(), server.entity(), "p");
    let query = "mutation { rewindRun(input: {runName: \"r\", metricName: \"_step\",
        metricValue: 1}) { rewoundRun { id } } }";
    match client.ask(query, json!({})).await {
        Err(Refused::Error(text)) => assert!(text.contains("not supported"), "{text}"),
        other => panic!("{other:?}"),
    }
}
