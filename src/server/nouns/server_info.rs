//! `ServerInfo`: what this server can do.

use async_trait::async_trait;
use serde_json::json;

use super::{Answer, Args, Cx, Noun, Out, ServerError, payload::Payload};

/// Features that clients ask for (protocol §2.4); all of them are on.
const FEATURES: [&str; 17] = [
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILE_DOWNLOAD_HANDLER",
    "ARTIFACT_DIGEST_ALGORITHM",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
    "ARTIFACT_REGISTRY_SEARCH",
    "ARTIFACT_TAGS",
    "ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID",
    "CLIENT_IDS",
    "FILESTREAM_GZIP",
    "INCLUDE_ARTIFACT_TYPES_IN_REGISTRY_CREATION",
    "LARGE_FILENAMES",
    "MARK_RUN_FILES_UPLOADED",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "STRUCTURED_CONSOLE_LOGS",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
];

/// Facts about the server.
pub(super) struct ServerInfo;

#[async_trait]
impl Noun for ServerInfo {
    fn type_name(&self) -> &'static str {
        "ServerInfo"
    }

    async fn field(&self, cx: &Cx, name: &str, _args: &Args) -> Answer {
        Ok(match name {
            "features" => Out::nodes(FEATURES.map(|feature| {
                Payload::new("ServerFeature")
                    .value("name", feature)
                    .value("isEnabled", true)
            })),
            // The oldest client release that is served; newer ones compare against it.
            "cliVersionInfo" => {
                Out::value(json!({"min_cli_version": "0.10.0", "max_cli_version": "9.9.9"}))
            }
            "latestLocalVersionInfo" => Out::Null,
            "frontendHost" => Out::value(cx.base_url.as_str()),
            _ => return Err(ServerError::unknown_field("ServerInfo", name)),
        })
    }
}
