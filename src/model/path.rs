//! Addresses of nodes: as paths of the mount, and as the SDK writes them.

use std::fmt;

use super::{
    CollectionName, EntityName, NameError, ProjectName, RunName, TypeName, VersionIndex,
    VersionSelector,
};

/// `entity/project`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProjectPath {
    /// Entity.
    pub entity: EntityName,
    /// Project.
    pub project: ProjectName,
}

/// `entity/project/type`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypePath {
    /// Project.
    pub project: ProjectPath,
    /// Artifact type.
    pub artifact_type: TypeName,
}

/// `entity/project/type/collection`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CollectionPath {
    /// Project.
    pub project: ProjectPath,
    /// Artifact type.
    pub artifact_type: TypeName,
    /// Collection.
    pub name: CollectionName,
}

impl CollectionPath {
    /// The type it belongs to.
    pub fn type_path(&self) -> TypePath {
        TypePath {
            project: self.project.clone(),
            artifact_type: self.artifact_type.clone(),
        }
    }
}

/// `entity/project/type/collection/vN`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionPath {
    /// Collection.
    pub collection: CollectionPath,
    /// Number there.
    pub index: VersionIndex,
}

impl fmt::Display for ProjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.entity, self.project)
    }
}

impl fmt::Display for TypePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.artifact_type)
    }
}

impl fmt::Display for CollectionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.project, self.artifact_type, self.name)
    }
}

impl fmt::Display for VersionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.index)
    }
}

/// Any node that a person can name on a command line: by its path in the mount, or as the SDK
/// writes a version (`entity/project/collection:alias`, whose type only the server knows).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodePath {
    /// The whole mount.
    Root,
    /// An entity.
    Entity(EntityName),
    /// A project.
    Project(ProjectPath),
    /// An artifact type.
    Type(TypePath),
    /// A collection.
    Collection(CollectionPath),
    /// A version or what is below it; `below` is the rest of the path, components joined by `/`,
    /// as names of the mount (`files/a/b`, `artifact.json`), empty for the version itself.
    Version {
        /// Collection.
        collection: CollectionPath,
        /// `vN`, alias, digest or commit hash.
        selector: VersionSelector,
        /// What is below.
        below: String,
    },
    /// A run, for the app's address of it; the path of its directory is a [`Self::View`].
    Run(ProjectPath, RunName),
    /// A view: a directory, link or file below one of the names that no listing shows.
    View {
        /// The directory with that name.
        of: Box<NodePath>,
        /// The rest, from that name on: `.runs/<id>/used`, `.tags/gold`.
        below: String,
    },
    /// `[[entity/]project/]collection[:alias]` as the SDK writes it.
    Sdk {
        /// Entity where given; the default entity without.
        entity: Option<EntityName>,
        /// Project where given; the default project without.
        project: Option<ProjectName>,
        /// Collection.
        collection: CollectionName,
        /// Alias; `latest` where the colon is missing.
        selector: VersionSelector,
    },
}

/// A path that names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodePathError {
    /// One of its names cannot be.
    #[error("not a path of the mount or of the SDK")]
    Name(#[from] NameError),
    /// More than three components left of the colon (protocol §3.3).
    #[error("{0:?}: at most entity/project/collection may stand left of the colon")]
    TooManyComponents(String),
}

/// Names of views by the number of components before them: of an entity and project none, of a type,
/// a collection, a version.
const VIEWS: [&[&str]; 6] = [
    &[],
    &[],
    &[".runs"],
    &[".tags", ".order", ".filter"],
    &[".tags", ".order", ".filter"],
    &[".lineage"],
];

impl NodePath {
    /// Reads a path. With a `:` among its first three components it is the SDK's form, split at the
    /// first colon; otherwise components of the mount. Leading and trailing slashes do not count.
    ///
    /// # Errors
    /// [`NodePathError`] says which name cannot be at its level.
    pub fn parse(text: &str) -> Result<Self, NodePathError> {
        let text = text.trim_matches('/');
        if let Some((left, alias)) = text.split_once(':')
            && left.split('/').count() <= 3
        {
            return Self::parse_sdk(text, left, alias);
        }
        Self::parse_mount(text)
    }

    fn parse_sdk(text: &str, left: &str, alias: &str) -> Result<Self, NodePathError> {
        let parts: Vec<&str> = left.split('/').collect();
        let (entity, project, collection) = match parts.as_slice() {
            [collection] => (None, None, *collection),
            [project, collection] => (None, Some(*project), *collection),
            [entity, project, collection] => (Some(*entity), Some(*project), *collection),
            _ => return Err(NodePathError::TooManyComponents(text.to_owned())),
        };
        Ok(Self::Sdk {
            entity: entity.map(EntityName::new).transpose()?,
            project: project.map(ProjectName::new).transpose()?,
            collection: CollectionName::new(collection)?,
            selector: VersionSelector::parse(alias)?,
        })
    }

    fn parse_mount(text: &str) -> Result<Self, NodePathError> {
        let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty()).collect();
        let views = |level| VIEWS.get(level).copied().unwrap_or_default();
        let first = (0..names.len()).find(|level| views(*level).contains(&names[*level]));
        if let Some(level) = first {
            let (of, below) = names.split_at(level);
            return Ok(Self::View {
                of: Box::new(Self::parse_mount(&of.join("/"))?),
                below: below.join("/"),
            });
        }
        let mut parts = text.splitn(6, '/').filter(|part| !part.is_empty());
        let Some(entity) = parts.next() else {
            return Ok(Self::Root);
        };
        let entity = EntityName::new(entity)?;
        let Some(project) = parts.next() else {
            return Ok(Self::Entity(entity));
        };
        let project = ProjectPath {
            entity,
            project: ProjectName::new(project)?,
        };
        let Some(artifact_type) = parts.next() else {
            return Ok(Self::Project(project));
        };
        let artifact_type = TypeName::new(artifact_type)?;
        let Some(name) = parts.next() else {
            return Ok(Self::Type(TypePath {
                project,
                artifact_type,
            }));
        };
        let collection = CollectionPath {
            project,
            artifact_type,
            name: CollectionName::new(name)?,
        };
        let Some(selector) = parts.next() else {
            return Ok(Self::Collection(collection));
        };
        Ok(Self::Version {
            collection,
            selector: VersionSelector::parse(selector)?,
            below: parts.next().unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_spellings_of_a_version_are_understood() {
        let mount = NodePath::parse("team/proj/dataset/mnist/v3/files/a/b.txt").unwrap();
        assert!(matches!(mount, NodePath::Version { ref below, .. } if below == "files/a/b.txt"));
        let sdk = NodePath::parse("team/proj/mnist:latest").unwrap();
        let NodePath::Sdk {
            entity,
            project,
            collection,
            selector,
        } = sdk
        else {
            panic!("not the SDK's form")
        };
        assert_eq!(entity.unwrap().as_str(), "team");
        assert_eq!(project.unwrap().as_str(), "proj");
        assert_eq!(collection.as_str(), "mnist");
        assert_eq!(selector, VersionSelector::Name("latest".into()));
    }

    #[test]
    fn a_colon_inside_the_content_does_not_make_it_the_sdks_form() {
        let path = NodePath::parse("e/p/t/c/v0/files/a:b").unwrap();
        assert!(matches!(path, NodePath::Version { ref below, .. } if below == "files/a:b"));
    }

    #[test]
    fn views_are_told_from_what_the_server_has() {
        for (text, above, rest) in [
            ("e/p/.runs/one/used/c:v0", "e/p", ".runs/one/used/c:v0"),
            ("e/p/t/.tags/gold", "e/p/t", ".tags/gold"),
            (
                "e/p/t/c/.order/-created_at",
                "e/p/t/c",
                ".order/-created_at",
            ),
            (
                "e/p/t/c/v0/.lineage/used_by/",
                "e/p/t/c/v0",
                ".lineage/used_by",
            ),
        ] {
            let NodePath::View { of, below } = NodePath::parse(text).unwrap() else {
                panic!("{text} is no view")
            };
            assert_eq!((*of, &*below), (NodePath::parse(above).unwrap(), rest));
        }
        let plain = NodePath::parse("e/p/t/c/v0/files/.runs").unwrap();
        assert!(matches!(plain, NodePath::Version { .. }));
    }

    #[test]
    fn each_depth_is_its_own_level() {
        assert_eq!(NodePath::parse("/").unwrap(), NodePath::Root);
        assert!(matches!(NodePath::parse("e").unwrap(), NodePath::Entity(_)));
        assert!(matches!(
            NodePath::parse("e/p/").unwrap(),
            NodePath::Project(_)
        ));
        assert!(matches!(
            NodePath::parse("e/p/t").unwrap(),
            NodePath::Type(_)
        ));
        assert!(matches!(
            NodePath::parse("e/p/t/c").unwrap(),
            NodePath::Collection(_)
        ));
    }
}
