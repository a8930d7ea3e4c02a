//! `Tag`.

use async_trait::async_trait;

use super::{Answer, Args, Cx, Noun, Out, ServerError};
use crate::server::store::{Kind, tags::TagRow};

/// A tag of a version or collection.
pub(super) struct Tag(pub(super) TagRow);

#[async_trait]
impl Noun for Tag {
    fn type_name(&self) -> &'static str {
        "Tag"
    }

    async fn field(&self, _cx: &Cx, name: &str, _args: &Args) -> Answer {
        let tag = &self.0;
        Ok(match name {
            "id" => Out::value(Kind::Tag.id(tag.id)),
            "name" => Out::value(tag.name.as_str()),
            "tagCategoryName" => Out::value(tag.category.as_str()),
            "attributes" => Out::value(tag.attributes.as_str()),
            _ => return Err(ServerError::unknown_field("Tag", name)),
        })
    }
}
