//! `ArtifactFiles`: the files of a version as the server lists them.

use serde_json::json;

use super::answers::{CollectionAnswer, MembershipOf};
use super::client::Client;
use super::hub::{ITEMS_PER_PAGE, listing, page_of, project_variables};
use super::operations as op;
use super::paginator::{Paginator, plural};
use super::wire;
use crate::model::{ArtifactVersion, ListOptions};

/// The files of a version, references included.
///
/// ```
/// # use wandbfs::server::{Seed, ServerOptions, start};
/// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let seed = Some(Seed::Files(3));
/// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
/// # let key = Authorization::Basic(Secret::new(server.api_key()));
/// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
/// use futures::TryStreamExt as _;
/// let mut files = client.artifact("scale/files:v0").await?.files();
/// assert_eq!(files.path()[2], "files:v0");
/// while let Some(file) = files.try_next().await? {
///     println!("{} has {:?} bytes", file.name, file.size);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ArtifactFiles {
    pages: Paginator<ArtifactFile>,
    path: [String; 3],
}

/// A file of a version, as the server tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Global id.
    pub id: Option<String>,
    /// Its path in the version: the manifest's key.
    pub name: String,
    /// Bytes.
    pub size: Option<u64>,
    /// Digest text.
    pub digest: Option<String>,
    /// MD5, base64.
    pub md5: Option<String>,
    /// Media type.
    pub mimetype: Option<String>,
    /// A link that needs credentials; the address of a reference.
    pub url: Option<String>,
    /// A presigned address, which is a secret while it lasts; the address of a reference.
    pub direct_url: Option<String>,
    /// Where the server's store keeps it.
    pub storage_path: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
}

plural!(ArtifactFiles of ArtifactFile);

impl ArtifactFiles {
    /// The files of a version, all or those of these paths.
    pub(crate) fn of(
        client: Client,
        version: &ArtifactVersion,
        names: Option<Vec<String>>,
    ) -> Self {
        let collection = version.collection.clone();
        let alias = version.index.to_string();
        let name = format!("{}:{alias}", collection.name);
        let path = [
            collection.project.entity.as_str().to_owned(),
            collection.project.project.as_str().to_owned(),
            name,
        ];
        let node = format!("{collection}/{alias}");
        let pages = Paginator::new(move |page| {
            let (client, node) = (client.clone(), node.clone());
            let mut asked = project_variables(&collection.project);
            asked["collection"] = json!(collection.name.as_str());
            asked["alias"] = json!(alias);
            asked["fileNames"] = json!(names);
            async move {
                let operation = op::ARTIFACT_MEMBERSHIP_FILES;
                let asked = listing(asked, &page, ITEMS_PER_PAGE, &ListOptions::default());
                let answer = client
                    .execute::<CollectionAnswer<MembershipOf>>(operation, &node, asked)
                    .await?;
                let found = answer
                    .project
                    .and_then(|project| project.artifact_collection);
                let found = found.and_then(|collection| collection.artifact_membership);
                page_of(operation, &node, found.and_then(|found| found.files), file)
            }
        });
        Self { pages, path }
    }

    /// Entity, project, and `collection:vN`.
    pub fn path(&self) -> &[String; 3] {
        &self.path
    }
}

fn file(wire: wire::File) -> Option<ArtifactFile> {
    Some(ArtifactFile {
        id: wire.id,
        name: wire.name?,
        size: wire.size_bytes.and_then(|size| u64::try_from(size).ok()),
        digest: wire.digest,
        md5: wire.md5,
        mimetype: wire.mimetype,
        url: wire.url,
        direct_url: wire.direct_url,
        storage_path: wire.storage_path,
        updated_at: wire.updated_at,
    })
}
