//! What the world does when it is changed: what the server would, as simply as can be.

use super::{CREATED, World, version_value};
use crate::model::{
    Applied, ArtifactId, ArtifactVersion, Collection, CollectionChange, CollectionKind,
    CollectionName, CollectionPath, CreatedBy, Error, ErrorKind, ListOptions, NodePath,
    ProjectPath, Run, RunArtifactsMode, RunName, RunPath, RunRef, SaveFailure, Ttl, TypeName,
    VersionChange, VersionIndex,
};

impl World {
    /// The changes that arrived since the last call, as text.
    pub(crate) fn take_sent(&self) -> Vec<String> {
        std::mem::take(&mut self.things.lock().sent)
    }

    /// The options of the listings that were asked for since the last call.
    pub(crate) fn take_asked(&self) -> Vec<ListOptions> {
        std::mem::take(&mut self.things.lock().asked)
    }

    /// Fails what comes after the first part of a change, half-way.
    fn second_part(&self) -> Result<(), Error> {
        match self.failures.lock().get("second part") {
            Some(&kind) => Err(Error::new(kind, "", "the second part was told to fail")),
            None => Ok(()),
        }
    }

    pub(super) fn change_collection(
        &self,
        id: &str,
        change: &CollectionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        let half_way = self.second_part();
        let mut things = self.things.lock();
        things.sent.push(format!("{change:?}"));
        let mut applied = Vec::new();
        let found = things.collections.iter_mut().find(|known| known.id == id);
        let collection = found.ok_or_else(|| missing(id))?;
        let old = collection.path.clone();
        if let Some(name) = &change.name {
            collection.path.name = CollectionName::new(name).unwrap();
            applied.push(Applied::Name);
        }
        if let Some(description) = &change.description {
            collection.description = Some(description.clone());
            applied.push(Applied::Description);
        }
        if let Err(error) = half_way {
            return Err(SaveFailure { applied, error });
        }
        if let Some(kind) = &change.artifact_type {
            collection.path.artifact_type = TypeName::new(kind).unwrap();
            applied.push(Applied::Type);
        }
        collection
            .tags
            .retain(|tag| !change.tags_removed.contains(tag));
        collection.tags.extend(change.tags_added.iter().cloned());
        let new = collection.path.clone();
        if !things.types.contains(&new.type_path()) {
            things.types.push(new.type_path());
        }
        for version in &mut things.versions {
            if version.collection == old {
                version.collection = new.clone();
                version.source_collection = new.name.to_string();
            }
        }
        Ok(applied)
    }

    pub(super) fn change_version(
        &self,
        version: &ArtifactVersion,
        change: &VersionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        let half_way = self.second_part();
        let mut things = self.things.lock();
        things.sent.push(format!("{change:?}"));
        let mut applied = Vec::new();
        for other in &mut things.versions {
            if other.collection == version.collection {
                other
                    .aliases
                    .retain(|alias| !change.aliases_added.contains(alias));
            }
        }
        let of = |known: &&mut ArtifactVersion| {
            known.id == version.id && known.collection == version.collection
        };
        let known = things.versions.iter_mut().find(of);
        let known = known.ok_or_else(|| missing(version.id.as_str()))?;
        known.aliases.extend(change.aliases_added.iter().cloned());
        known
            .aliases
            .retain(|alias| !change.aliases_removed.contains(alias));
        if !change.aliases_added.is_empty() {
            applied.push(Applied::AliasesAdded);
        }
        if let Err(error) = half_way {
            return Err(SaveFailure { applied, error });
        }
        if let Some(description) = &change.description {
            known.description = Some(description.clone());
        }
        if let Some(metadata) = &change.metadata {
            known.metadata = metadata.clone();
        }
        known.tags.retain(|tag| !change.tags_removed.contains(tag));
        known.tags.extend(change.tags_added.iter().cloned());
        if let Some(ttl) = change.ttl {
            known.ttl_seconds = Some(ttl.wire()).filter(|seconds| *seconds > 0);
            known.ttl_is_inherited = Some(ttl == Ttl::Inherit);
        }
        Ok(applied)
    }

    pub(super) fn drop_collection(&self, id: &str) -> Result<(), Error> {
        let mut things = self.things.lock();
        let found = things.collections.iter().position(|known| known.id == id);
        let gone = things.collections.remove(found.ok_or_else(|| missing(id))?);
        things
            .versions
            .retain(|version| version.collection != gone.path);
        Ok(())
    }

    pub(super) fn drop_version(
        &self,
        version: &ArtifactVersion,
        delete_aliases: bool,
    ) -> Result<(), Error> {
        let mut things = self.things.lock();
        let of = |known: &ArtifactVersion| {
            known.id == version.id && known.collection == version.collection
        };
        let found = things.versions.iter().position(of);
        let found = found.ok_or_else(|| missing(version.id.as_str()))?;
        let mut aliases = things.versions[found].aliases.iter();
        if aliases.any(|alias| alias != "latest") && !delete_aliases {
            return Err(Error::new(ErrorKind::Busy, "", "the version has aliases"));
        }
        let gone = things.versions.remove(found);
        let latest = gone.aliases.iter().any(|alias| alias == "latest");
        let mut rest = things.versions.iter_mut().rev();
        if let Some(next) = rest.find(|known| known.collection == gone.collection && latest) {
            next.aliases.push("latest".into());
        }
        Ok(())
    }

    /// Adds an empty portfolio.
    pub(crate) fn add_portfolio(&self, path: &CollectionPath) -> Collection {
        let path = self.add_collection(&path.to_string());
        let mut things = self.things.lock();
        let known = things
            .collections
            .iter_mut()
            .find(|known| known.path == path);
        let known = known.unwrap();
        known.kind = CollectionKind::Portfolio;
        known.clone()
    }

    pub(super) fn add_link(
        &self,
        source: &ArtifactVersion,
        target: &CollectionPath,
        aliases: &[String],
    ) -> VersionIndex {
        let mut things = self.things.lock();
        let own = things
            .versions
            .iter()
            .filter(|version| version.collection == *target);
        let index = VersionIndex(own.count() as u64);
        for version in &mut things.versions {
            if version.collection == *target {
                version
                    .aliases
                    .retain(|alias| !aliases.contains(alias) && alias != "latest");
            }
        }
        let mut link = version_value(source.id.clone(), target.clone(), index.0, 0);
        link.source_collection = source.source_collection.clone();
        link.source_project = source.source_project.clone();
        link.aliases = aliases.to_vec();
        link.aliases.push("latest".into());
        things.versions.push(link);
        index
    }

    /// Adds a run that made and used versions, named by their paths.
    pub(crate) fn add_run(&self, project: &str, name: &str, logged: &[&str], used: &[&str]) {
        let Ok(NodePath::Project(project)) = NodePath::parse(project) else {
            panic!("{project} is no project")
        };
        let path = RunPath {
            project: project.clone(),
            name: RunName::new(name).unwrap(),
        };
        let mut things = self.things.lock();
        for (mode, ids) in [
            (RunArtifactsMode::Logged, logged),
            (RunArtifactsMode::Used, used),
        ] {
            for id in ids {
                let id = ArtifactId::new((*id).to_owned());
                things.lineage.push((path.clone(), mode, id));
            }
        }
        things.runs.push(Run {
            id: format!("run-{name}"),
            name: path.name,
            project,
            display_name: Some(format!("the run {name}")),
            state: Some("finished".into()),
            user: Some("me".into()),
            group: None,
            job_type: None,
            notes: None,
            tags: Vec::new(),
            config: None,
            summary: None,
            created_at: Some(CREATED.into()),
            updated_at: None,
            heartbeat_at: None,
        });
    }

    pub(super) fn runs_of(&self, project: &ProjectPath) -> Vec<Run> {
        let things = self.things.lock();
        let own = things.runs.iter().filter(|run| run.project == *project);
        own.cloned().collect()
    }

    pub(super) fn artifacts_of(
        &self,
        run: &RunPath,
        mode: RunArtifactsMode,
    ) -> Vec<ArtifactVersion> {
        let things = self.things.lock();
        let own = things
            .lineage
            .iter()
            .filter(|(of, how, _)| of == run && *how == mode);
        own.filter_map(|(_, _, id)| things.versions.iter().find(|v| v.id == *id))
            .cloned()
            .collect()
    }

    fn runs_with(&self, id: &ArtifactId, mode: RunArtifactsMode) -> Vec<RunRef> {
        let things = self.things.lock();
        let own = things
            .lineage
            .iter()
            .filter(|(_, how, of)| of == id && *how == mode);
        own.map(|(run, _, _)| RunRef {
            entity: Some(run.project.entity.to_string()),
            project: Some(run.project.project.to_string()),
            name: run.name.to_string(),
        })
        .collect()
    }

    pub(super) fn users_of(&self, id: &ArtifactId) -> Vec<RunRef> {
        self.runs_with(id, RunArtifactsMode::Used)
    }

    pub(super) fn logger_of(&self, id: &ArtifactId) -> Option<CreatedBy> {
        let mut runs = self.runs_with(id, RunArtifactsMode::Logged);
        runs.pop().map(CreatedBy::Run)
    }
}

fn missing(what: &str) -> Error {
    Error::new(ErrorKind::NotFound, what, "it is not in the world")
}
