//! The manifest format, read as a stream (protocol §8).
//!
//! A manifest of 1,000,000 entries is about 200 MB of JSON, so it is never a tree in memory: the
//! reader hands each entry to a [`Sink`] and forgets it. It is a file format, not a part of the
//! API, which is why it lives here and not in `wandb`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::DigestAlgorithm;

/// What a manifest says about itself besides its entries. `contents` may come before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// `storagePolicyConfig.storageLayout` is `V2`; absent means V1.
    pub layout_v2: bool,
    /// `storagePolicyConfig.storageRegion`.
    pub region: Option<String>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// Text of the digest: base64 for stored files, ETag or URL for references.
    pub digest: String,
    /// Bytes; absent in old manifests.
    #[serde(default)]
    pub size: Option<u64>,
    /// Artifact under which the content was first stored.
    #[serde(default, rename = "birthArtifactID")]
    pub birth_artifact_id: Option<String>,
    /// Address of a reference.
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
    /// `alg`, `etag`, `versionID`.
    #[serde(default)]
    pub extra: Option<BTreeMap<String, serde_json::Value>>,
}

impl Entry {
    /// The digest's algorithm: `extra.alg`, MD5 without.
    pub fn algorithm(&self) -> DigestAlgorithm {
        match self.extra_text("alg").as_deref() {
            Some("XXH128") => DigestAlgorithm::Xxh128,
            _ => DigestAlgorithm::Md5,
        }
    }

    /// A member of `extra` as text; numbers (a gs generation) are written out.
    pub fn extra_text(&self, key: &str) -> Option<String> {
        match self.extra.as_ref()?.get(key)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// Receives the entries of a manifest, in the order of the file.
pub trait Sink {
    /// One entry under its key, byte for byte as the manifest has it.
    fn entry(&mut self, path: &str, entry: Entry);
}

/// A manifest that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the form of a manifest; the place is in the cause.
    #[error("the manifest is not readable")]
    Json(#[from] serde_json::Error),
    /// A version other than 1.
    #[error("manifest version {0} is not known; this program reads version 1")]
    Version(u64),
    /// A storage policy other than `wandb-storage-policy-v1`.
    #[error("storage policy {0:?} is not known")]
    Policy(String),
}

/// Reads a whole manifest, handing each entry to `sink`. Blocking; memory does not grow with the
/// number of entries.
///
/// # Errors
/// [`ManifestError`]; entries before the fault have been handed over by then.
pub fn read(reader: impl Read, sink: &mut dyn Sink) -> Result<Header, ManifestError> {
    read_json(serde_json::Deserializer::from_reader(reader), sink)
}

/// The same of a manifest that is in memory, several times as fast.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(bytes: &[u8], sink: &mut dyn Sink) -> Result<Header, ManifestError> {
    read_json(serde_json::Deserializer::from_slice(bytes), sink)
}

fn read_json<'de, R: serde_json::de::Read<'de>>(
    mut json: serde_json::Deserializer<R>,
    sink: &mut dyn Sink,
) -> Result<Header, ManifestError> {
    let envelope = json.deserialize_map(EnvelopeVisitor { sink })?;
    json.end()?;
    match envelope.version {
        Some(1) => {}
        other => return Err(ManifestError::Version(other.unwrap_or(0))),
    }
    match envelope.policy.as_deref() {
        Some("wandb-storage-policy-v1") => {}
        other => return Err(ManifestError::Policy(other.unwrap_or_default().to_owned())),
    }
    Ok(envelope.header)
}

#[derive(Default)]
struct Envelope {
    version: Option<u64>,
    policy: Option<String>,
    header: Header,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct PolicyConfig {
    storage_layout: Option<String>,
    storage_region: Option<String>,
}

struct EnvelopeVisitor<'s> {
    sink: &'s mut dyn Sink,
}

impl<'de> Visitor<'de> for EnvelopeVisitor<'_> {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" => envelope.version = map.next_value()?,
                "storagePolicy" => envelope.policy = map.next_value()?,
                "storagePolicyConfig" => {
                    let config: Option<PolicyConfig> = map.next_value()?;
                    let config = config.unwrap_or_default();
                    envelope.header.layout_v2 = config.storage_layout.as_deref() == Some("V2");
                    envelope.header.region = config.storage_region;
                }
                "contents" => map.next_value_seed(Contents {
                    sink: &mut *self.sink,
                })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(envelope)
    }
}

struct Contents<'s> {
    sink: &'s mut dyn Sink,
}

impl<'de> DeserializeSeed<'de> for Contents<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Contents<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the contents object of a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(path) = map.next_key::<String>()? {
            let entry: Entry = map.next_value()?;
            self.sink.entry(&path, entry);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Default)]
    struct Collected(Vec<(String, Entry)>);

    impl Sink for Collected {
        fn entry(&mut self, path: &str, entry: Entry) {
            self.0.push((path.to_owned(), entry));
        }
    }

    fn parse(text: &str) -> Result<(Header, Collected), ManifestError> {
        let (mut sink, mut other) = (Collected::default(), Collected::default());
        let streamed = read(text.as_bytes(), &mut sink);
        let at_once = read_bytes(text.as_bytes(), &mut other);
        assert_eq!(streamed.is_ok(), at_once.is_ok());
        assert_eq!(sink.0, other.0, "both ways read the same");
        streamed.map(|header| (header, sink))
    }

    #[test]
    fn entries_come_in_file_order_with_both_layouts_and_unknown_members_ignored() {
        let (header, sink) = parse(
            r#"{"version":1,"storagePolicy":"wandb-storage-policy-v1",
                "storagePolicyConfig":{"storageLayout":"V2","storageRegion":"eu"},"future":[{}],
                "contents":{"b\u003c.txt":{"digest":"XUFAKrxLKna5cZ2REBfFkg==","size":5,
                  "birthArtifactID":"QQ==","local_path":"/secret","skip_cache":false},
                 "a":{"digest":"etag","ref":"gs://b/k","size":0,
                  "extra":{"alg":"XXH128","versionID":17}}}}"#,
        )
        .unwrap();
        assert_eq!(
            header,
            Header {
                layout_v2: true,
                region: Some("eu".into())
            }
        );
        let names: Vec<_> = sink.0.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(names, ["b<.txt", "a"]);
        assert_eq!(sink.0[1].1.algorithm(), DigestAlgorithm::Xxh128);
        assert_eq!(sink.0[1].1.extra_text("versionID").unwrap(), "17");
    }

    #[test]
    fn absent_layout_means_v1_and_absent_size_stays_unknown() {
        let (header, sink) = parse(
            r#"{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{},
                "contents":{"a":{"digest":"x"}}}"#,
        )
        .unwrap();
        assert!(!header.layout_v2);
        assert_eq!(sink.0[0].1.size, None);
    }

    #[test]
    fn other_versions_policies_and_truncated_text_are_typed_errors() {
        let bad_version =
            parse(r#"{"version":2,"storagePolicy":"wandb-storage-policy-v1","contents":{}}"#);
        assert!(matches!(bad_version, Err(ManifestError::Version(2))));
        let bad_policy = parse(r#"{"version":1,"storagePolicy":"other","contents":{}}"#);
        assert!(matches!(bad_policy, Err(ManifestError::Policy(_))));
        assert!(matches!(
            parse(r#"{"version":1,"contents":{"a":"#),
            Err(ManifestError::Json(_))
        ));
    }
}
