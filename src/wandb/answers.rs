//! The paths of answers: from the root of `data` down to the noun that an operation is about.

use serde::Deserialize;

use super::wire::{self, Connection};

/// Declares the nesting of answers: `Outer { inner: Inner }`, every step of which may be null.
macro_rules! paths {
    ($($name:ident $(<$n:ident>)? { $($field:ident: $inner:ty),+ })+) => {
        $(
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            pub(crate) struct $name $(<$n>)? { $(pub(crate) $field: Option<$inner>),+ }
        )+
    };
}

paths! {
    ViewerAnswer { viewer: wire::User }
    EntityAnswer { entity: wire::Entity }
    ModelsAnswer { models: Connection<wire::Project> }
    ProjectAnswer { project: wire::Project }
    TypesAnswer { project: ProjectOfTypes }
    ProjectOfTypes { artifact_types: Connection<wire::ArtifactType> }
    TypeAnswer<T> { project: ProjectOfType<T> }
    ProjectOfType<T> { artifact_type: T }
    CollectionsOf { artifact_collections: Connection<wire::Collection> }
    CollectionsAnswer { project: CollectionsOf }
    CollectionOf<T> { artifact_collection: T }
    CollectionAnswer<T> { project: CollectionOf<T> }
    VersionsOf { artifacts: Connection<wire::Artifact> }
    AliasesOf { aliases: Connection<wire::Alias> }
    MembershipAnswer { project: ProjectOfMembership }
    ProjectOfMembership { artifact_collection_membership: wire::Membership }
    MembershipOf { artifact_membership: FilesOf }
    FilesOf { files: Connection<wire::File> }
    ArtifactAnswer<T> { artifact: T }
    FilesByEntriesOf { files_by_manifest_entries: Connection<wire::File> }
    MembershipsOf { artifact_memberships: Connection<wire::Membership> }
    UsedByOf { used_by: Connection<wire::Run> }
    CreatedByOf { created_by: wire::Initiator }
    RunAnswer<T> { project: ProjectOfRun<T> }
    ProjectOfRun<T> { run: T }
    ProjectRunsAnswer { project: RunsOf }
    RunsOf { runs: Connection<wire::Run> }
    RegistryAnswer { entity: EntityOfProject }
    EntityOfProject { project: wire::Project }
    OrganizationAnswer<T> { organization: OrganizationOf<T> }
    OrganizationOf<T> { org_entity: T }
    RegistriesOf { projects: Connection<wire::Project> }
}
