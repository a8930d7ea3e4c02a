//! `Query`: where every reading document starts.

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Noun, Out, ServerError,
    artifact::Artifact,
    collection::Collection,
    entity::Entity,
    nothing, organization,
    payload::Payload,
    project::{self, Project},
    read,
    server_info::ServerInfo,
    user::User,
    viewer, whole,
};
use crate::server::store::{Kind, accounts, collections, projects, versions};

/// The root of queries.
pub(super) struct Query;

#[async_trait]
impl Noun for Query {
    fn type_name(&self) -> &'static str {
        "Query"
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        match name {
            "viewer" => Ok(Out::maybe(
                read(cx, |db| accounts::user(db, cx.caller.user_id))?.map(User),
            )),
            "user" => user(cx, args),
            "users" => users(cx, args),
            "serverInfo" => Ok(Out::node(ServerInfo)),
            "entity" => {
                let name = args
                    .str("name")
                    .filter(|name| !name.is_empty())
                    .unwrap_or(&cx.caller.entity);
                Ok(Out::maybe(
                    read(cx, |db| accounts::entity_named(db, name))?.map(Entity::new),
                ))
            }
            "organization" => organization(cx, args),
            "project" | "model" => project(cx, args),
            "projects" | "models" => {
                let name = args
                    .str("entityName")
                    .filter(|name| !name.is_empty())
                    .unwrap_or(&cx.caller.entity);
                match read(cx, |db| accounts::entity_named(db, name))? {
                    Some(entity) => project::of_entity(cx, &Entity::new(entity).0, args),
                    None => Ok(Out::node(nothing("ProjectConnection"))),
                }
            }
            "artifact" => {
                let id = Kind::Artifact.parse(args.required("id")?);
                let found = id.map_or(Ok(None), |id| {
                    read(cx, |db| versions::visible_version(db, viewer(cx), id))
                })?;
                Ok(Out::maybe(found.map(Artifact)))
            }
            "artifactCollection" => Ok(Out::maybe(collection(cx, args)?)),
            "artifactSequence" => Ok(Out::maybe(
                collection(cx, args)?.filter(|found| !found.0.portfolio),
            )),
            "clientIDMapping" => client_id(cx, args),
            _ => Err(ServerError::unknown_field("Query", name)),
        }
    }
}

fn user(cx: &Cx, args: &Args) -> Answer {
    let by_id = args.str("id").and_then(|id| Kind::User.parse(id));
    let found = read(cx, |db| match (by_id, args.str("userName")) {
        (Some(id), _) => accounts::user(db, id),
        (None, Some(name)) => accounts::user_named(db, name),
        (None, None) => Ok(None),
    })?;
    Ok(Out::maybe(found.map(User)))
}

fn users(cx: &Cx, args: &Args) -> Answer {
    let names = args.strings("usernames");
    let ids: Option<Vec<i64>> = args
        .strings("ids")
        .map(|ids| ids.iter().filter_map(|id| Kind::User.parse(id)).collect());
    let found = read(cx, |db| {
        accounts::search_users(db, args.str("query"), names.as_deref(), ids.as_deref())
    })?;
    Ok(Out::node(whole(
        "UserConnection",
        found.into_iter().map(User).collect(),
    )))
}

fn organization(cx: &Cx, args: &Args) -> Answer {
    let by_id = args.str("id").and_then(|id| Kind::Organization.parse(id));
    let found = organization::visible(cx, |db| match (by_id, args.str("name")) {
        (Some(id), _) => accounts::organization(db, id),
        (None, Some(name)) => accounts::organization_named(db, name),
        (None, None) => Ok(None),
    })?;
    Ok(Out::maybe(found))
}

fn project(cx: &Cx, args: &Args) -> Answer {
    let entity = args
        .str("entityName")
        .filter(|name| !name.is_empty())
        .unwrap_or(&cx.caller.entity);
    let Some(name) = args.str("name") else {
        return Ok(Out::Null);
    };
    Ok(Out::maybe(
        read(cx, |db| projects::find(db, viewer(cx), entity, name))?.map(Project::new),
    ))
}

fn collection(cx: &Cx, args: &Args) -> Result<Option<Collection>, ServerError> {
    let Some(id) = Kind::Collection.parse(args.required("id")?) else {
        return Ok(None);
    };
    Ok(read(cx, |db| collections::visible_collection(db, viewer(cx), id))?.map(Collection))
}

fn client_id(cx: &Cx, args: &Args) -> Answer {
    let client = args.required("clientID")?;
    let found = match cx.store.client_id(client)? {
        Some(id) => read(cx, |db| versions::visible_version(db, viewer(cx), id))?.map(|row| row.id),
        None => None,
    };
    Ok(match found {
        Some(id) => Out::node(
            Payload::new("ClientIDMapping")
                .value("clientID", client)
                .value("serverID", Kind::Artifact.id(id)),
        ),
        None => Out::Null,
    })
}
