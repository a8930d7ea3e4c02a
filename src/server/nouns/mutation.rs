//! `Mutation`: where every changing document starts. The mutations themselves are in files by family.

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Noun, ServerError, mutation_artifacts as artifacts,
    mutation_collections as collections, mutation_edits as edits, mutation_projects as projects,
    mutation_runs as runs,
};

/// The root of mutations.
pub(super) struct Mutation;

#[async_trait]
impl Noun for Mutation {
    fn type_name(&self) -> &'static str {
        "Mutation"
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        // A run that was offline and is synced later does not know its entity: core sends "".
        let args = &args.with_default_member("entityName", &cx.caller.entity);
        match name {
            "createArtifact" => artifacts::create(cx, args).await,
            "createArtifactManifest" => artifacts::create_manifest(cx, args).await,
            "updateArtifactManifest" => artifacts::update_manifest(cx, args).await,
            "createArtifactFiles" => artifacts::create_files(cx, args).await,
            "completeMultipartUploadArtifact" => artifacts::complete_upload(cx, args).await,
            "commitArtifact" => artifacts::commit(cx, args).await,
            "useArtifact" => artifacts::use_artifact(cx, args).await,
            "updateArtifact" => edits::update(cx, args).await,
            "addAliases" => edits::add_aliases(cx, args).await,
            "deleteAliases" => edits::delete_aliases(cx, args).await,
            "deleteArtifact" => edits::delete(cx, args).await,
            "linkArtifact" => edits::link(cx, args).await,
            "unlinkArtifact" => edits::unlink(cx, args).await,
            "createArtifactType" => collections::create_type(cx, args).await,
            "updateArtifactType" => collections::update_type(cx, args).await,
            "createArtifactSequence" => collections::create(cx, args, false).await,
            "createArtifactPortfolio" => collections::create(cx, args, true).await,
            "updateArtifactSequence" => collections::update(cx, args, "artifactSequenceID").await,
            "updateArtifactPortfolio" => collections::update(cx, args, "artifactPortfolioID").await,
            "moveArtifactSequence" => collections::change_type(cx, args).await,
            "deleteArtifactSequence" => collections::delete(cx, args, "artifactSequenceID").await,
            "deleteArtifactPortfolio" => collections::delete(cx, args, "artifactPortfolioID").await,
            "createArtifactCollectionTagAssignments" => collections::add_tags(cx, args).await,
            "deleteArtifactCollectionTagAssignments" => collections::remove_tags(cx, args).await,
            "upsertModel" => projects::upsert(cx, args).await,
            "renameProject" => projects::rename(cx, args).await,
            "deleteModel" => projects::delete(cx, args).await,
            "createProjectMembers" => projects::add_members(cx, args).await,
            "deleteProjectMembers" => projects::remove_members(cx, args).await,
            "updateProjectMember" => projects::update_member(cx, args).await,
            "updateProjectTeamMember" => projects::update_team_member(cx, args).await,
            "upsertBucket" => runs::upsert(cx, args).await,
            "createRunFiles" => runs::create_files(cx, args).await,
            "markRunFilesUploaded" => runs::mark_uploaded(cx, args),
            "deleteFiles" => runs::delete_files(cx, args).await,
            "deleteRun" => runs::delete(cx, args).await,
            "stopRun" => runs::stop(cx, args).await,
            "notifyScriptableRunAlert" => runs::alert(),
            "rewindRun" => Err(ServerError::Invalid(
                "rewindRun is not supported by this server".into(),
            )),
            _ => Err(ServerError::unknown_field("Mutation", name)),
        }
    }
}
