//! Addresses of nodes in the web app (protocol §12), made without a request.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::Client;
use crate::model::{CollectionPath, NodePath, VersionSelector};

/// What Python's `quote` leaves: letters, digits, `_.-~` and `/`.
const PATH_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'.')
    .remove(b'-')
    .remove(b'~')
    .remove(b'/');

/// The same without `/`, for a query.
const QUERY_SET: &AsciiSet = &PATH_SET.add(b'/');

/// Prefix of the project of a registry.
pub(crate) const REGISTRY_PREFIX: &str = "wandb-registry-";

/// Project that held linked models before there were registries.
const MODEL_REGISTRY: &str = "model-registry";

/// The page of a node; none for the root, for views, and for the SDK's spelling, whose type nobody
/// told.
pub(crate) fn of(client: &Client, path: &NodePath) -> Option<String> {
    let app = client.config().app_url.as_str().trim_end_matches('/');
    Some(match path {
        NodePath::Root | NodePath::Sdk { .. } | NodePath::View { .. } => return None,
        NodePath::Entity(name) => format!("{app}/{}", encode(name.as_str())),
        NodePath::Project(path) => format!(
            "{app}/{}/{}",
            encode(path.entity.as_str()),
            encode(path.project.as_str())
        ),
        NodePath::Type(path) => format!(
            "{app}/{}/{}/artifacts/{}",
            encode(path.project.entity.as_str()),
            encode(path.project.project.as_str()),
            encode(path.artifact_type.as_str())
        ),
        NodePath::Collection(path) => collection(client, app, path, None),
        NodePath::Version {
            collection: path,
            selector,
            below,
        } => {
            let page = collection(client, app, path, Some(selector));
            match below.strip_prefix("files/") {
                Some(file) if !page.contains('?') => format!("{page}/files/{}", encode(file)),
                _ => page,
            }
        }
        NodePath::Run(path, run) => format!(
            "{app}/{}/{}/runs/{}",
            encode(path.entity.as_str()),
            encode(path.project.as_str()),
            encode(run.as_str())
        ),
    })
}

fn collection(
    client: &Client,
    app: &str,
    path: &CollectionPath,
    version: Option<&VersionSelector>,
) -> String {
    let (entity, project) = (&path.project.entity, path.project.project.as_str());
    let view = version.map(|v| format!("&view=membership&version={}", quote(&v.to_string())));
    let selection = format!("{entity}/{project}/{}", path.name);
    let selection = format!(
        "selectionPath={}{}",
        quote(&selection),
        view.unwrap_or_default()
    );
    if let Some(registry) = project.strip_prefix(REGISTRY_PREFIX)
        && let Some(organization) = client.organization_of(entity)
    {
        let (organization, registry) = (encode(&organization), encode(registry));
        return format!("{app}/orgs/{organization}/registry/{registry}?{selection}");
    }
    if project == MODEL_REGISTRY {
        return format!(
            "{app}/{}/registry/model?{selection}",
            encode(entity.as_str())
        );
    }
    let version = version.map(|version| format!("/{}", encode(&version.to_string())));
    format!(
        "{app}/{}/{}/artifacts/{}/{}{}",
        encode(entity.as_str()),
        encode(project),
        encode(path.artifact_type.as_str()),
        encode(path.name.as_str()),
        version.unwrap_or_default()
    )
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, PATH_SET).to_string()
}

fn quote(text: &str) -> String {
    utf8_percent_encode(text, QUERY_SET).to_string()
}
