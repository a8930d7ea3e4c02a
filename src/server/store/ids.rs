//! Global ids: what a client holds instead of row numbers.
//!
//! An id is the standard base64 of `<Kind>:<n>`. The client library decodes artifact ids to hex, and
//! puts them into URLs where `/` splits segments. Base64 of ASCII text yields `/` only for `?` and DEL,
//! and no kind contains either, so no id contains `/`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What an id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An artifact version.
    Artifact,
    /// A sequence or a portfolio.
    Collection,
    /// A version in a collection.
    Membership,
    /// An artifact type.
    Type,
    /// An alias row.
    Alias,
    /// The computed `vN` alias of a membership.
    VersionAlias,
    /// A manifest.
    Manifest,
    /// A file of a run.
    RunFile,
    /// A project.
    Project,
    /// The number of a project as the registry filters use it.
    ProjectInternal,
    /// A run.
    Run,
    /// A user.
    User,
    /// A user's personal entity, a team or an organization's entity.
    Entity,
    /// An organization.
    Organization,
    /// A tag.
    Tag,
    /// An API key (its row, never its text).
    ApiKey,
    /// A multipart upload.
    Upload,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Artifact => "Artifact",
            Self::Collection => "ArtifactCollection",
            Self::Membership => "ArtifactCollectionMembership",
            Self::Type => "ArtifactType",
            Self::Alias => "ArtifactAlias",
            Self::VersionAlias => "ArtifactVersionAlias",
            Self::Manifest => "ArtifactManifest",
            Self::RunFile => "RunFile",
            Self::Project => "Project",
            Self::ProjectInternal => "ProjectInternalId",
            Self::Run => "Run",
            Self::User => "User",
            Self::Entity => "Entity",
            Self::Organization => "Organization",
            Self::Tag => "Tag",
            Self::ApiKey => "ApiKey",
            Self::Upload => "Upload",
        }
    }

    /// The id of row `n`.
    pub(crate) fn id(self, n: i64) -> String {
        STANDARD.encode(format!("{}:{n}", self.name()))
    }

    /// The row number in `id`, if it names this kind of thing.
    pub(crate) fn parse(self, id: &str) -> Option<i64> {
        let (kind, n) = split(id)?;
        (kind == self.name()).then_some(n)
    }
}

/// The row number in any global id, whatever its kind: filters accept both numbers and ids.
pub(crate) fn any_number(id: &str) -> Option<i64> {
    split(id).map(|(_, n)| n)
}

fn split(id: &str) -> Option<(String, i64)> {
    let text = String::from_utf8(STANDARD.decode(id).ok()?).ok()?;
    let (kind, n) = text.split_once(':')?;
    Some((kind.to_owned(), n.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn artifact_ids_are_the_documented_base64_and_never_hold_a_slash() {
        assert_eq!(Kind::Artifact.id(123), "QXJ0aWZhY3Q6MTIz");
        for n in 0..20_000 {
            let id = Kind::Artifact.id(n);
            assert!(!id.contains('/'), "{id}");
            assert_eq!(Kind::Artifact.parse(&id), Some(n));
            assert_eq!(Kind::Project.parse(&id), None);
        }
    }

    #[test]
    fn garbage_is_no_id() {
        for text in ["", "v1", "????", "QXJ0aWZhY3Q=", "QXJ0aWZhY3Q6eA=="] {
            assert_eq!(Kind::Artifact.parse(text), None, "{text}");
        }
    }
}
