//! `Run` and `RunArtifacts`.

use serde_json::json;

use super::answers::{RunAnswer, VersionsOf};
use super::artifact::Artifact;
use super::client::Client;
use super::convert;
use super::hub::{listing, page_of, project_variables, variables};
use super::operations as op;
use super::paginator::{Paginator, plural, singular};
use super::project::{invalid, not_found};
use super::wire;
use crate::model::{self, Error, Hub, ListOptions, NodePath, ProjectPath, RunName};

/// Artifacts per page of a run's listings (protocol §4.3, via `Run`).
const ARTIFACTS_PER_PAGE: u32 = 100;

/// A run.
///
/// ```
/// # use wandbfs::server::{Seed, ServerOptions, start};
/// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let seed = Some(Seed::Demo);
/// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
/// # let key = Authorization::Basic(Secret::new(server.api_key()));
/// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
/// let run = client.run("vision-lab/images/train-1").await?;
/// let mut logged = run.logged_artifacts();
/// assert!(logged.len().await? >= 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Run {
    pub(crate) client: Client,
    pub(crate) value: model::Run,
}

singular!(Run around model::Run);

/// Which of a run's artifacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunArtifactsMode {
    /// Its outputs.
    Logged,
    /// Its inputs.
    Used,
}

/// The artifacts that a run logged or used, each named by its own sequence.
///
/// ```
/// # use wandbfs::server::{Seed, ServerOptions, start};
/// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let seed = Some(Seed::Demo);
/// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
/// # let key = Authorization::Basic(Secret::new(server.api_key()));
/// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
/// use futures::TryStreamExt as _;
/// let run = client.run("vision-lab/images/train-1").await?;
/// let used: Vec<_> = run.used_artifacts().map_ok(|a| a.name()).try_collect().await?;
/// assert_eq!(used, ["photos:v0"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RunArtifacts {
    pages: Paginator<Artifact>,
    mode: RunArtifactsMode,
}

plural!(RunArtifacts of Artifact);

impl RunArtifacts {
    /// Logged or used.
    pub fn mode(&self) -> RunArtifactsMode {
        self.mode
    }
}

impl Run {
    /// What it logged.
    pub fn logged_artifacts(&self) -> RunArtifacts {
        self.artifacts(RunArtifactsMode::Logged)
    }

    /// What it used.
    pub fn used_artifacts(&self) -> RunArtifacts {
        self.artifacts(RunArtifactsMode::Used)
    }

    fn artifacts(&self, mode: RunArtifactsMode) -> RunArtifacts {
        let project = self.project.clone();
        self.client.run_artifacts(project, self.name.clone(), mode)
    }

    /// Its page in the app.
    pub fn url(&self) -> Option<String> {
        let path = NodePath::Run(self.project.clone(), self.name.clone());
        self.client.app_url(&path)
    }
}

impl Client {
    /// A run by path, `[entity/]project/id`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](model::ErrorKind::NotFound) when there is none.
    pub async fn run(&self, path: &str) -> Result<Run, Error> {
        let (project, id) = path.rsplit_once('/').unwrap_or(("", path));
        let project = match project {
            "" => self.complete(None, None).await?,
            project => self.project_path(project).await?,
        };
        self.run_of(&project, id).await
    }

    pub(crate) async fn run_of(&self, project: &ProjectPath, id: &str) -> Result<Run, Error> {
        let name = RunName::new(id).map_err(|fault| invalid(id, fault))?;
        let node = format!("{project}/{name}");
        let mut asked = variables(project_variables(project));
        asked.insert("run".into(), json!(name.as_str()));
        let answer = self
            .execute::<RunAnswer<wire::Run>>(op::GET_RUN, &node, asked)
            .await?;
        let found = answer.project.and_then(|found| found.run);
        let found = found.and_then(|run| convert::run(run, project));
        Ok(Run {
            client: self.clone(),
            value: found.ok_or_else(|| not_found(node, "there is no such run"))?,
        })
    }

    /// The artifacts of a run, without asking for the run first.
    pub fn run_artifacts(
        &self,
        project: ProjectPath,
        run: RunName,
        mode: RunArtifactsMode,
    ) -> RunArtifacts {
        let client = self.clone();
        let pages = Paginator::new(move |page| {
            let (client, project, run) = (client.clone(), project.clone(), run.clone());
            async move {
                let operation = match mode {
                    RunArtifactsMode::Logged => op::RUN_OUTPUT_ARTIFACTS,
                    RunArtifactsMode::Used => op::RUN_INPUT_ARTIFACTS,
                };
                let (node, mut asked) = (format!("{project}/{run}"), project_variables(&project));
                asked["run"] = json!(run.as_str());
                let asked = listing(asked, &page, ARTIFACTS_PER_PAGE, &ListOptions::default());
                let answer = client
                    .execute::<RunAnswer<VersionsOf>>(operation, &node, asked)
                    .await?;
                let found = answer.project.and_then(|found| found.run);
                page_of(
                    operation,
                    &node,
                    found.and_then(|run| run.artifacts),
                    |artifact| {
                        let version = convert::source_version(artifact, &project)?;
                        Some(Artifact::new(client.clone(), version, None))
                    },
                )
            }
        });
        RunArtifacts { pages, mode }
    }
}
