//! Links: versions shown in a portfolio beside the sequence they come from.

use rusqlite::{OptionalExtension as _, Transaction};

use super::{
    Kind, Result, Store, StoreError, aliases,
    collections::{self, CollectionRow},
    commit::next_index,
    projects::{self, ProjectRow, Viewer},
    versions::{self, MembershipRow, VersionRow},
    writing::insert_membership,
};

/// What to link and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkRequest<'a> {
    /// Global id of the version.
    pub(crate) artifact: Option<&'a str>,
    /// Or the id its client gave it.
    pub(crate) client: Option<&'a str>,
    /// Global id of the portfolio.
    pub(crate) portfolio: Option<&'a str>,
    /// Or its name, with entity and project.
    pub(crate) name: Option<&'a str>,
    /// Entity of the portfolio.
    pub(crate) entity: Option<&'a str>,
    /// Project of the portfolio.
    pub(crate) project: Option<&'a str>,
    /// Aliases in the portfolio, besides `latest`.
    pub(crate) aliases: Vec<&'a str>,
}

impl Store {
    /// Links a version into a portfolio, which is made if missing. The same version again keeps its number.
    pub(crate) fn link(&self, viewer: Viewer, request: &LinkRequest<'_>) -> Result<MembershipRow> {
        self.write(|tx| {
            let id = match (request.artifact, request.client) {
                (Some(id), _) => Kind::Artifact.parse(id),
                (None, Some(client)) => tx
                    .query_row(
                        "SELECT artifact_id FROM client_ids WHERE client_id = ?",
                        [client],
                        |row| row.get(0),
                    )
                    .optional()?,
                (None, None) => None,
            };
            let id = id.ok_or_else(|| StoreError::not_found("artifact"))?;
            let found = versions::visible_version(tx, viewer, id)?
                .ok_or_else(|| StoreError::not_found("artifact"))?;
            if found.state != "COMMITTED" {
                return Err(StoreError::Conflict(
                    "only a committed artifact can be linked".into(),
                ));
            }
            let portfolio = portfolio_for(tx, viewer, request, &found)?;
            link_version(tx, viewer, &portfolio, &found, &request.aliases)
        })
    }

    /// Takes a version out of a portfolio.
    pub(crate) fn unlink(&self, viewer: Viewer, artifact: &str, portfolio: &str) -> Result<()> {
        self.write(|tx| {
            let artifact = Kind::Artifact.parse(artifact).ok_or_else(|| StoreError::not_found("artifact"))?;
            let id = Kind::Collection.parse(portfolio).ok_or_else(|| StoreError::not_found("collection"))?;
            let portfolio = writable_collection(tx, viewer, id)?;
            if !portfolio.portfolio {
                return Err(StoreError::invalid("a source artifact cannot be unlinked from its own collection"));
            }
            tx.execute("DELETE FROM aliases WHERE collection_id = ? AND artifact_id = ?", [id, artifact])?;
            let gone = tx.execute("DELETE FROM memberships WHERE collection_id = ? AND artifact_id = ?", [id, artifact])?;
            if gone == 0 {
                return Err(StoreError::not_found("link"));
            }
            if let Some(newest) = versions::newest(tx, id)? {
                let orphaned: bool = tx.query_row(
                    "SELECT NOT EXISTS (SELECT 1 FROM aliases WHERE collection_id = ? AND alias = 'latest')",
                    [id],
                    |row| row.get(0),
                )?;
                if orphaned {
                    aliases::set(tx, id, newest.id, "latest")?;
                }
            }
            collections::touch(tx, id)
        })
    }
}

/// A collection that `viewer` may change.
pub(crate) fn writable_collection(
    tx: &Transaction<'_>,
    viewer: Viewer,
    id: i64,
) -> Result<CollectionRow> {
    let found = collections::visible_collection(tx, viewer, id)?
        .filter(|found| found.state == "READY")
        .ok_or_else(|| StoreError::not_found("collection"))?;
    let project = projects::project_unchecked(tx, found.project_id)?
        .ok_or_else(|| StoreError::not_found("project"))?;
    projects::check_writable(tx, viewer, &project)?;
    Ok(found)
}

fn portfolio_for(
    tx: &Transaction<'_>,
    viewer: Viewer,
    request: &LinkRequest<'_>,
    artifact: &VersionRow,
) -> Result<CollectionRow> {
    let found = if let Some(id) = request.portfolio {
        let id = Kind::Collection
            .parse(id)
            .ok_or_else(|| StoreError::not_found("collection"))?;
        writable_collection(tx, viewer, id)?
    } else {
        let (Some(name), Some(entity), Some(project)) =
            (request.name, request.entity, request.project)
        else {
            return Err(StoreError::invalid(
                "a portfolio's id, or its name, entity and project, are needed",
            ));
        };
        let (project, _) = projects::ensure(tx, viewer, entity, project)?;
        match collections::named(tx, project.id, name)? {
            Some(found) => found,
            None => new_portfolio(tx, &project, name, artifact)?,
        }
    };
    if !found.portfolio {
        return Err(StoreError::Conflict(format!(
            "'{}' is a collection of logged artifacts, nothing can be linked into it",
            found.name
        )));
    }
    let (theirs, ours) = (type_name(tx, &found)?, artifact_type_name(tx, artifact)?);
    if theirs != ours {
        return Err(StoreError::Conflict(format!(
            "'{}' takes artifacts of type '{theirs}', not '{ours}'",
            found.name
        )));
    }
    Ok(found)
}

fn new_portfolio(
    tx: &Transaction<'_>,
    project: &ProjectRow,
    name: &str,
    artifact: &VersionRow,
) -> Result<CollectionRow> {
    let wanted = artifact_type_name(tx, artifact)?;
    if !project.all_types && collections::type_named(tx, project.id, &wanted)?.is_none() {
        return Err(StoreError::Conflict(format!(
            "registry '{}' does not take artifacts of type '{wanted}'",
            project.name
        )));
    }
    let kind = collections::ensure_type(tx, project.id, &wanted, None)?;
    collections::create(tx, &kind, true, name, None)
}

fn type_name(tx: &Transaction<'_>, collection: &CollectionRow) -> Result<String> {
    Ok(collections::artifact_type(tx, collection.type_id)?.name)
}

fn artifact_type_name(tx: &Transaction<'_>, artifact: &VersionRow) -> Result<String> {
    let sequence = collections::collection(tx, artifact.sequence_id)?
        .ok_or_else(|| StoreError::not_found("collection"))?;
    type_name(tx, &sequence)
}

/// Gives a version a place in a portfolio, with `latest` and the given aliases.
pub(crate) fn link_version(
    tx: &Transaction<'_>,
    viewer: Viewer,
    portfolio: &CollectionRow,
    artifact: &VersionRow,
    wanted: &[&str],
) -> Result<MembershipRow> {
    if versions::membership(tx, portfolio.id, artifact.id)?.is_none() {
        let index = next_index(tx, portfolio.id)?;
        insert_membership(tx, portfolio.id, artifact.id, index, "COMMITTED")?;
        aliases::set(tx, portfolio.id, artifact.id, "latest")?;
    }
    aliases::set_all(tx, viewer, portfolio, artifact.id, wanted.iter().copied())?;
    versions::membership(tx, portfolio.id, artifact.id)?
        .ok_or_else(|| StoreError::not_found("link"))
}
