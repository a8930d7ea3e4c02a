//! `Run` and `RunArtifacts`.

use serde_json::json;

use super::answers::{ProjectRunsAnswer, RunAnswer, VersionsOf};
use super::artifact::Artifact;
use super::client::Client;
use super::convert;
use super::hub::{ITEMS_PER_PAGE, listing, page_of, project_variables, variables};
use super::operations as op;
use super::paginator::{Paginator, plural, singular};
use super::project::{invalid, not_found};
use super::wire;
use crate::model::{
    self, ArtifactVersion, Error, Hub, ListOptions, NodePath, Page, PageRequest, ProjectPath,
    RunArtifactsMode, RunName, RunPath, VersionPath,
};

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

/// The runs of a project. The server does not count them.
pub type Runs = Paginator<Run>;

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

    /// Records a version as an input, as `use_artifact` does; again changes nothing.
    ///
    /// # Errors
    /// What the request failed of.
    pub async fn use_artifact(&self, artifact: &Artifact) -> Result<(), Error> {
        let run = RunPath {
            project: self.project.clone(),
            name: self.name.clone(),
        };
        let version = VersionPath {
            collection: artifact.path().clone(),
            index: artifact.index,
        };
        Hub::use_version(&self.client, &run, &version, &artifact.id).await
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
        let path = self.run_path(path).await?;
        self.run_of(&path.project, path.name.as_str()).await
    }

    /// Reads the address of a run, `[[entity/]project/]id`, completed from the configuration and
    /// the viewer. The run need not exist yet.
    ///
    /// # Errors
    /// When a name cannot be one, or the entity cannot be found out.
    pub async fn run_path(&self, text: &str) -> Result<RunPath, Error> {
        let (project, id) = text.rsplit_once('/').unwrap_or(("", text));
        let project = match project {
            "" => self.complete(None, None).await?,
            project => self.project_path(project).await?,
        };
        let name = RunName::new(id).map_err(|fault| invalid(id, fault))?;
        Ok(RunPath { project, name })
    }

    /// The runs of `[entity/]project`, filtered and ordered by the server.
    ///
    /// # Errors
    /// When the entity cannot be found out.
    pub async fn runs(&self, project: &str, options: &ListOptions) -> Result<Runs, Error> {
        let (client, options) = (self.clone(), options.clone());
        let project = self.project_path(project).await?;
        Ok(Paginator::new(move |page| {
            let (client, project, options) = (client.clone(), project.clone(), options.clone());
            async move {
                let found = client.page_of_runs(&project, &options, &page).await?;
                Ok(found.map(|value| Run {
                    client: client.clone(),
                    value,
                }))
            }
        }))
    }

    pub(crate) async fn run_of(&self, project: &ProjectPath, id: &str) -> Result<Run, Error> {
        let path = RunPath {
            project: project.clone(),
            name: RunName::new(id).map_err(|fault| invalid(id, fault))?,
        };
        let found = self.run_by_name(&path).await?;
        Ok(Run {
            client: self.clone(),
            value: found.ok_or_else(|| not_found(path.to_string(), "there is no such run"))?,
        })
    }

    pub(crate) async fn run_by_name(&self, path: &RunPath) -> Result<Option<model::Run>, Error> {
        let mut asked = variables(project_variables(&path.project));
        asked.insert("run".into(), json!(path.name.as_str()));
        let answer = self
            .execute::<RunAnswer<wire::Run>>(op::GET_RUN, &path.to_string(), asked)
            .await?;
        let found = answer.project.and_then(|found| found.run);
        Ok(found.and_then(|run| convert::run(run, &path.project)))
    }

    pub(crate) async fn page_of_runs(
        &self,
        project: &ProjectPath,
        options: &ListOptions,
        page: &PageRequest,
    ) -> Result<Page<model::Run>, Error> {
        let (node, asked) = (project.to_string(), project_variables(project));
        let asked = listing(asked, page, ITEMS_PER_PAGE, options);
        let answer = self
            .execute::<ProjectRunsAnswer>(op::PROJECT_RUNS, &node, asked)
            .await?;
        let found = answer.project.and_then(|project| project.runs);
        page_of(op::PROJECT_RUNS, &node, found, |run| {
            convert::run(run, project)
        })
    }

    /// The artifacts of a run, without asking for the run first.
    pub fn run_artifacts(
        &self,
        project: ProjectPath,
        run: RunName,
        mode: RunArtifactsMode,
    ) -> RunArtifacts {
        let (client, path) = (self.clone(), RunPath { project, name: run });
        let pages = Paginator::new(move |page| {
            let (client, path) = (client.clone(), path.clone());
            async move {
                let found = client.page_of_run_artifacts(&path, mode, &page).await?;
                Ok(found.map(|version| Artifact::new(client.clone(), version, None)))
            }
        });
        RunArtifacts { pages, mode }
    }

    pub(crate) async fn page_of_run_artifacts(
        &self,
        run: &RunPath,
        mode: RunArtifactsMode,
        page: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error> {
        let operation = match mode {
            RunArtifactsMode::Logged => op::RUN_OUTPUT_ARTIFACTS,
            RunArtifactsMode::Used => op::RUN_INPUT_ARTIFACTS,
        };
        let (node, mut asked) = (run.to_string(), project_variables(&run.project));
        asked["run"] = json!(run.name.as_str());
        let asked = listing(asked, page, ARTIFACTS_PER_PAGE, &ListOptions::default());
        let answer = self
            .execute::<RunAnswer<VersionsOf>>(operation, &node, asked)
            .await?;
        let found = answer.project.and_then(|found| found.run);
        let found = found.and_then(|run| run.artifacts);
        page_of(operation, &node, found, |artifact| {
            convert::source_version(artifact, &run.project)
        })
    }
}
