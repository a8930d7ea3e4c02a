//! `Organization`.

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Database, Noun, Out, ServerError, entity::Entity, payload::Payload, read,
};
use crate::server::store::{
    self, Kind,
    accounts::{self, OrganizationRow},
};

/// The organization that `find` finds, if the caller belongs to it: strangers do not know it.
pub(super) fn visible(
    cx: &Cx,
    find: impl Fn(&Database) -> store::error::Result<Option<OrganizationRow>>,
) -> Result<Option<Organization>, ServerError> {
    let found = read(cx, |db| {
        let Some(found) = find(db)? else {
            return Ok(None);
        };
        let mine = accounts::organizations_of(db, cx.caller.user_id)?;
        let known = cx.caller.admin || mine.iter().any(|row| row.id == found.id);
        Ok(known.then_some(found))
    })?;
    Ok(found.map(Organization))
}

/// An organization of teams.
pub(super) struct Organization(pub(super) OrganizationRow);

#[async_trait]
impl Noun for Organization {
    fn type_name(&self) -> &'static str {
        "Organization"
    }

    async fn field(&self, cx: &Cx, name: &str, _args: &Args) -> Answer {
        let org = &self.0;
        Ok(match name {
            "id" => Out::value(Kind::Organization.id(org.id)),
            "name" => Out::value(org.name.as_str()),
            "orgType" => Out::value(org.org_type.as_str()),
            "orgEntity" => {
                Out::maybe(read(cx, |db| accounts::org_entity(db, org.id))?.map(Entity::new))
            }
            "teams" => Out::nodes(
                read(cx, |db| accounts::org_teams(db, org.id))?
                    .into_iter()
                    .map(Entity::new),
            ),
            "coreWeaveOrganizationId" => Out::Null,
            "advancedRegistryFeatures" => {
                Out::node(Payload::new("AdvancedRegistryFeatures").value("advancedSearch", true))
            }
            "featureFlags" => Out::Nodes(Vec::new()),
            _ => return Err(ServerError::unknown_field("Organization", name)),
        })
    }
}
