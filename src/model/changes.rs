//! Changes as values: what differs, what of it was applied, and how far a save came.
//!
//! A change names only what the person changed. Applying it sends only that, in the order of the
//! SDK's `save()` (protocol §6); an empty change sends nothing.

use std::error::Error as StdError;
use std::fmt;

use serde_json::{Map, Value};

use super::rules::{self, RuleError};
use super::{ArtifactVersion, Collection, CollectionKind, Error, ErrorKind, ProjectPath, RunName};

/// What differs in a collection. `None` and empty lists are fields nobody touched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CollectionChange {
    /// A new name.
    pub name: Option<String>,
    /// A new description; `""` clears it.
    pub description: Option<String>,
    /// A new type; sequences only.
    pub artifact_type: Option<String>,
    /// Tags it gets.
    pub tags_added: Vec<String>,
    /// Tags it loses.
    pub tags_removed: Vec<String>,
}

impl CollectionChange {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks it against the rules of writing, before anything is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with the rule that it breaks.
    pub fn check(&self, collection: &Collection) -> Result<(), Error> {
        self.broken_rule(collection)
            .map_err(|rule| refused(collection.path.to_string(), rule))
    }

    fn broken_rule(&self, collection: &Collection) -> Result<(), RuleError> {
        let old_name = collection.path.name.as_str();
        if let Some(name) = &self.name {
            rules::collection_name(name)?;
        }
        if let Some(new_type) = &self.artifact_type {
            if collection.kind == CollectionKind::Portfolio {
                return Err(RuleError::PortfolioType);
            }
            let name = self.name.as_deref().unwrap_or(old_name);
            rules::collection_type(new_type, name)?;
            rules::collection_type(collection.path.artifact_type.as_str(), old_name)?;
        }
        self.tags_added.iter().try_for_each(|tag| rules::tag(tag))
    }
}

/// How long a version lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// So many seconds after it was made; more than 0.
    Seconds(i64),
    /// The default of its team.
    Inherit,
    /// Without limit.
    Disabled,
}

impl Ttl {
    /// `ttlDurationSeconds` of the update (protocol §6.1).
    pub fn wire(self) -> i64 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Inherit => -1,
            Self::Disabled => -2,
        }
    }
}

/// What differs in a version. `None` and empty lists are fields nobody touched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VersionChange {
    /// A new description; `""` clears it.
    pub description: Option<String>,
    /// New metadata, whole: the server replaces what it has.
    pub metadata: Option<Map<String, Value>>,
    /// Tags it gets.
    pub tags_added: Vec<String>,
    /// Tags it loses.
    pub tags_removed: Vec<String>,
    /// Aliases it gets in the collection it was reached through; another version loses them.
    pub aliases_added: Vec<String>,
    /// Aliases it loses there.
    pub aliases_removed: Vec<String>,
    /// A new time to live.
    pub ttl: Option<Ttl>,
}

impl VersionChange {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something beside aliases differs, which the source of a link must take.
    pub fn is_beyond_aliases(&self) -> bool {
        let aliases_only = Self {
            aliases_added: self.aliases_added.clone(),
            aliases_removed: self.aliases_removed.clone(),
            ..Self::default()
        };
        *self != aliases_only
    }

    /// Checks it against the rules of writing, before anything is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with the rule that it breaks.
    pub fn check(&self, version: &ArtifactVersion) -> Result<(), Error> {
        let node = || format!("{}/{}", version.collection, version.index);
        self.broken_rule().map_err(|rule| refused(node(), rule))
    }

    fn broken_rule(&self) -> Result<(), RuleError> {
        for alias in self.aliases_added.iter().chain(&self.aliases_removed) {
            rules::alias(alias)?;
        }
        self.tags_added.iter().try_for_each(|tag| rules::tag(tag))?;
        if let Some(metadata) = &self.metadata {
            rules::metadata(metadata)?;
        }
        match self.ttl {
            Some(Ttl::Seconds(seconds)) if seconds <= 0 => Err(RuleError::Ttl(seconds)),
            _ => Ok(()),
        }
    }
}

/// A broken rule as an error about a node.
pub fn refused(node: impl Into<String>, rule: RuleError) -> Error {
    Error::caused_by(ErrorKind::Invalid, node, "refused before sending", rule)
}

/// One part of a change that the server has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Name of a collection.
    Name,
    /// Description.
    Description,
    /// Type of a collection.
    Type,
    /// New tags.
    TagsAdded,
    /// Some of the new tags: more than one request takes.
    SomeTagsAdded,
    /// Tags taken away.
    TagsRemoved,
    /// Some of the tags to be taken away.
    SomeTagsRemoved,
    /// New aliases.
    AliasesAdded,
    /// Aliases taken away.
    AliasesRemoved,
    /// Metadata.
    Metadata,
    /// Time to live.
    Ttl,
}

impl Applied {
    /// Whether it belongs to one place of a version and not to the version wherever it is linked.
    pub fn is_of_place(self) -> bool {
        matches!(self, Self::AliasesAdded | Self::AliasesRemoved)
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Description => "description",
            Self::Type => "type",
            Self::TagsAdded => "added tags",
            Self::SomeTagsAdded => "some of the added tags",
            Self::TagsRemoved => "removed tags",
            Self::SomeTagsRemoved => "some of the removed tags",
            Self::AliasesAdded => "added aliases",
            Self::AliasesRemoved => "removed aliases",
            Self::Metadata => "metadata",
            Self::Ttl => "ttl",
        })
    }
}

/// A save that failed, perhaps half-way.
#[derive(Debug, Clone)]
pub struct SaveFailure {
    /// What the server had taken before, in order.
    pub applied: Vec<Applied>,
    /// Why the rest was not.
    pub error: Error,
}

impl fmt::Display for SaveFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

impl StdError for SaveFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

impl SaveFailure {
    /// What became of the save, without the reason.
    fn words(&self) -> String {
        if self.applied.is_empty() {
            return "not saved, nothing of it was applied".to_owned();
        }
        let applied: Vec<String> = self.applied.iter().map(Applied::to_string).collect();
        format!(
            "saved in part: {} applied, the rest not",
            applied.join(", ")
        )
    }
}

impl From<Error> for SaveFailure {
    /// A failure before anything was sent or taken.
    fn from(error: Error) -> Self {
        Self {
            applied: Vec::new(),
            error,
        }
    }
}

impl From<SaveFailure> for Error {
    /// The kind of the reason, with the sentence about what was applied in front where something
    /// was.
    fn from(failure: SaveFailure) -> Self {
        if failure.applied.is_empty() {
            return failure.error;
        }
        let node = failure.error.node().to_owned();
        let words = failure.words();
        failure.error.at(node, words)
    }
}

/// A run by its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunPath {
    /// Its project.
    pub project: ProjectPath,
    /// Its id.
    pub name: RunName,
}

impl fmt::Display for RunPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.name)
    }
}

/// Which artifacts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunArtifactsMode {
    /// What it logged.
    Logged,
    /// What it used.
    Used,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_save_that_failed_half_way_says_what_was_applied_and_why_not_the_rest() {
        let failure = SaveFailure {
            applied: vec![Applied::Name, Applied::Type],
            error: Error::new(ErrorKind::Forbidden, "e/p/t/c", "no permission"),
        };
        let error = Error::from(failure);
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        let chain = error.chain();
        assert!(
            chain.contains("name, type applied") && chain.contains("no permission"),
            "{chain}"
        );
    }

    #[test]
    fn a_change_of_aliases_alone_leaves_the_source_of_a_link_alone() {
        let aliases = VersionChange {
            aliases_added: vec!["a".into()],
            ..VersionChange::default()
        };
        assert!(!aliases.is_empty() && !aliases.is_beyond_aliases());
        let cleared = VersionChange {
            description: Some(String::new()),
            ..aliases
        };
        assert!(cleared.is_beyond_aliases());
    }
}
