//! `Organization`.

use async_trait::async_trait;

use super::{Answer, Args, Cx, Noun, Out, ServerError, entity::Entity, payload::Payload, read};
use crate::server::store::{
    Kind,
    accounts::{self, OrganizationRow},
};

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
