//! One way for every mutation: when it is sent again, how its state is checked, what the log says.
//!
//! A mutation that reached the server may have been done although its answer was lost. So each is
//! of one of two sorts. Setting fields, tags and aliases, changing a type and recording a use give
//! the same state when done twice: they are repeated as queries are. Creating, linking, unlinking
//! and deleting are repeated only while they surely were not done (no connection, 429, 503); after
//! any other failure the [`Witness`] is asked first whether the state is the wanted one already.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::answers::ArtifactAnswer;
use super::client::Client;
use super::failure::{Cause, Failure};
use super::hub::variables;
use super::operations::{self as op, Operation};
use super::retry;
use super::transport::Repeat;
use super::wire;
use crate::model::{
    ArtifactId, CollectionPath, Error, Hub, ProjectPath, VersionIndex, VersionSelector,
};

/// Times a mutation with a witness is sent at most. Each comes after the retries for what surely
/// was not done, so more would only repeat a server's own trouble.
const MAX_SENDINGS: u32 = 4;

/// Target of the log lines of changes, for a filter of their own.
const LOG_TARGET: &str = "wandbfs::change";

/// What the answers of all mutations may say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    success: Option<bool>,
    pub(super) version_index: Option<u64>,
}

#[derive(Deserialize)]
struct Answered {
    result: Option<Done>,
}

/// A mutation to send.
pub(super) struct Mutation {
    pub(super) operation: Operation,
    /// The node it changes, as the user knows it.
    pub(super) node: String,
    /// What it changes there, for the log: names of fields, never contents.
    pub(super) what: String,
    pub(super) input: Value,
    /// How a person takes it back, where that is a command.
    pub(super) undo: Option<String>,
}

/// What is true once a mutation is done, for those that must not be done twice.
pub(super) enum Witness<'a> {
    /// The collection is no more.
    CollectionGone(&'a CollectionPath),
    /// The project is no more.
    ProjectGone(&'a ProjectPath),
    /// The version is no more.
    VersionGone(&'a ArtifactId),
    /// The portfolio has no link of that number.
    LinkGone(&'a CollectionPath, VersionIndex),
    /// The version is linked there.
    Linked(&'a ArtifactId, &'a CollectionPath),
    /// The collection is there.
    CollectionMade(&'a CollectionPath),
}

impl Mutation {
    /// The ids that the input names, for the log.
    fn ids(&self) -> String {
        let members = self.input.as_object().into_iter().flatten();
        let ids = members.filter(|(name, _)| name.ends_with("ID") || *name == "id");
        let ids = ids.filter_map(|(name, id)| Some(format!("{name}={}", id.as_str()?)));
        ids.collect::<Vec<_>>().join(" ")
    }
}

impl Client {
    /// Sends a mutation that gives the same state when done twice.
    pub(super) async fn mutate(&self, mutation: &Mutation) -> Result<Done, Error> {
        let answer = self.send_mutation(mutation, Repeat::Freely).await;
        self.log_mutation(mutation, &answer).await;
        Ok(answer?)
    }

    /// Sends a mutation that must not be done twice; `None` when only the witness tells that it
    /// was done.
    pub(super) async fn mutate_once(
        &self,
        mutation: &Mutation,
        witness: &Witness<'_>,
    ) -> Result<Option<Done>, Error> {
        let deadline = self.config().deadline;
        let until = Instant::now() + deadline;
        let answer = timeout_at(until, self.send_until_witnessed(mutation, witness)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(Cause::Deadline(deadline).at(mutation.operation.name, &*mutation.node))
        });
        self.log_mutation(mutation, &answer).await;
        Ok(answer?)
    }

    async fn send_until_witnessed(
        &self,
        mutation: &Mutation,
        witness: &Witness<'_>,
    ) -> Result<Option<Done>, Failure> {
        let mut sendings = 0;
        loop {
            sendings += 1;
            let failure = match self.send_mutation(mutation, Repeat::WhileUndone).await {
                Ok(done) => return Ok(Some(done)),
                Err(failure) if failure.cause.is_ambiguous() => failure,
                Err(failure) => return Err(failure),
            };
            match self.witnessed(witness).await {
                Ok(true) => return Ok(None),
                Ok(false) if sendings < MAX_SENDINGS => {
                    sleep(retry::wait(sendings, None, rand::random())).await;
                }
                _ => return Err(failure),
            }
        }
    }

    async fn send_mutation(&self, mutation: &Mutation, repeat: Repeat) -> Result<Done, Failure> {
        let operation = mutation.operation;
        let fail = |cause: Cause| cause.at(operation.name, &*mutation.node);
        let mut input = mutation.input.clone();
        if let Some(members) = input.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        let asked = variables(json!({ "input": input }));
        let answer = self
            .execute_repeating::<Answered>(operation, &mutation.node, asked, repeat)
            .await?;
        let done = answer.result.ok_or_else(|| fail(Cause::Missing))?;
        match done.success {
            Some(false) => Err(fail(Cause::Refused("it answers success: false".to_owned()))),
            _ => Ok(done),
        }
    }

    /// Whether the state is the one that a mutation wants.
    async fn witnessed(&self, witness: &Witness<'_>) -> Result<bool, Error> {
        match witness {
            Witness::CollectionGone(path) => Ok(Hub::collection(self, path).await?.is_none()),
            Witness::ProjectGone(path) => Ok(Hub::project(self, path).await?.is_none()),
            Witness::CollectionMade(path) => Ok(Hub::collection(self, path).await?.is_some()),
            Witness::VersionGone(id) => {
                let found = self.artifact_as_it_is(id).await?;
                Ok(found.and_then(|artifact| artifact.state).as_deref() != Some("COMMITTED"))
            }
            Witness::LinkGone(path, index) => {
                let selector = VersionSelector::Index(*index);
                Ok(Hub::version(self, path, &selector).await?.is_none())
            }
            Witness::Linked(id, path) => Ok(self.linked_at(id, path).await?.is_some()),
        }
    }

    /// A version by id, in whatever state: 1 request.
    pub(super) async fn artifact_as_it_is(
        &self,
        id: &ArtifactId,
    ) -> Result<Option<wire::Artifact>, Error> {
        let asked = variables(json!({ "id": id.as_str() }));
        let answer = self
            .execute::<ArtifactAnswer<wire::Artifact>>(op::ARTIFACT_BY_ID, id.as_str(), asked)
            .await?;
        Ok(answer.artifact)
    }

    /// The number under which a collection holds a version.
    pub(super) async fn linked_at(
        &self,
        id: &ArtifactId,
        path: &CollectionPath,
    ) -> Result<Option<VersionIndex>, Error> {
        let links = self.links_of(id, id.as_str()).await?;
        let found = links.into_iter().find(|link| {
            link.collection == path.name.as_str()
                && link.project == path.project.project.as_str()
                && link.entity == path.project.entity.as_str()
        });
        Ok(found.and_then(|link| link.version))
    }

    /// One line per mutation: who, what, the ids, and how to take it back.
    async fn log_mutation<T>(&self, mutation: &Mutation, answer: &Result<T, Failure>) {
        let (user, ids) = (self.user_name().await, mutation.ids());
        let undo = mutation.undo.as_deref().unwrap_or("-");
        let (node, what) = (&*mutation.node, &*mutation.what);
        let name = mutation.operation.name;
        match answer {
            Ok(_) => tracing::info!(
                target: LOG_TARGET,
                mutation = name, user, node, what, ids, undo, "changed on the server"
            ),
            Err(failure) => tracing::warn!(
                target: LOG_TARGET,
                mutation = name, user, node, what, ids, "not changed: {}", failure.cause
            ),
        }
    }
}
