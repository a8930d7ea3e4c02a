//! `User` and `ApiKey`.

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Noun, Out, ServerError, entity::Entity, nothing, organization::Organization,
    payload::Payload, project, read, whole,
};
use crate::server::store::{
    Kind,
    accounts::{self, UserRow},
};

/// A user.
pub(super) struct User(pub(super) UserRow);

#[async_trait]
impl Noun for User {
    fn type_name(&self) -> &'static str {
        "User"
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let user = &self.0;
        let own = cx.caller.admin || cx.caller.user_id == user.id;
        // Of strangers only the name is known.
        let known = own
            || (matches!(name, "email" | "organizations" | "teams")
                && read(cx, |db| {
                    accounts::acquainted(db, cx.caller.user_id, user.id)
                })?);
        Ok(match name {
            "id" => Out::value(Kind::User.id(user.id)),
            "name" => Out::value(user.name.as_str()),
            "username" | "entity" => Out::value(user.username.as_str()),
            "email" => Out::value(user.email.clone().filter(|_| known)),
            "admin" => Out::value(user.admin),
            "accountType" => Out::value("USER"),
            "flags" => Out::value("{}"),
            "createdAt" => Out::value(user.created_at.as_str()),
            "deletedAt" | "photoUrl" => Out::Null,
            "apiKeys" if own => Out::node(keys(cx, user)?),
            "apiKeys" => Out::Null,
            "defaultEntity" | "userEntity" => Out::maybe(
                read(cx, |db| accounts::entity_named(db, &user.username))?.map(Entity::new),
            ),
            "organizations" if !known => Out::Nodes(Vec::new()),
            "teams" if !known => Out::node(nothing("EntityConnection")),
            "organizations" => Out::nodes(
                read(cx, |db| accounts::organizations_of(db, user.id))?
                    .into_iter()
                    .map(Organization),
            ),
            "teams" => {
                let teams = read(cx, |db| accounts::teams_of(db, user.id))?;
                Out::node(whole(
                    "EntityConnection",
                    teams.into_iter().map(Entity::new).collect(),
                ))
            }
            "projects" => match read(cx, |db| accounts::entity_named(db, &user.username))? {
                Some(entity) => return project::of_entity(cx, &Entity::new(entity).0, args),
                None => Out::Null,
            },
            _ => return Err(ServerError::unknown_field("User", name)),
        })
    }
}

/// The keys of a user by their hints. A key itself is shown once, when it is made: only its hash is kept.
fn keys(cx: &Cx, user: &UserRow) -> Result<impl Noun + use<>, ServerError> {
    let keys = read(cx, |db| accounts::keys_of(db, user.id))?;
    let nouns = keys.into_iter().map(|(id, hint, description)| {
        Payload::new("ApiKey")
            .value("id", Kind::ApiKey.id(id))
            .value("name", hint)
            .value("description", description)
    });
    Ok(whole("ApiKeyConnection", nouns.collect()))
}
