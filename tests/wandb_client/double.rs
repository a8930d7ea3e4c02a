//! A server of our own making that answers what a test tells it to, and remembers the questions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use wandbfs::model::Hub;
use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};

/// The key that no message may hold.
pub const KEY: &str = "0123456789012345678901234567890123456789";

/// One question.
#[derive(Debug, Clone)]
pub struct Asked {
    pub operation: String,
    pub query: String,
    pub variables: Value,
    pub authorization: Option<String>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub delay: Duration,
}

impl Answer {
    pub fn status(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
            delay: Duration::ZERO,
        }
    }

    pub fn data(data: Value) -> Self {
        Self::status(200, &json!({ "data": data }).to_string())
    }

    pub fn error(message: &str) -> Self {
        Self::status(
            200,
            &json!({ "errors": [{ "message": message }] }).to_string(),
        )
    }

    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Script = Box<dyn Fn(&Asked) -> Answer + Send + Sync>;

struct Shared {
    script: Script,
    /// Answers that come before the script's.
    first: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Asked>>,
}

pub struct Double {
    pub base_url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Double {
    pub async fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            script: Box::new(script),
            first: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            base_url,
            shared,
            task,
        }
    }

    /// Answers with these first.
    pub fn first(&self, answers: impl IntoIterator<Item = Answer>) -> &Self {
        self.shared.first.lock().extend(answers);
        self
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().clone()
    }

    pub fn client(&self) -> Client {
        self.client_within(Duration::from_secs(20))
    }

    /// The client as the tree sees it.
    pub fn hub(&self) -> Arc<dyn Hub> {
        Arc::new(self.client())
    }

    pub fn client_within(&self, deadline: Duration) -> Client {
        let mut config = ClientConfig::new(
            self.base_url.parse().unwrap(),
            Authorization::Basic(Secret::new(KEY)),
        );
        config.deadline = deadline;
        Client::connect(config).unwrap()
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let question: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| question[name].as_str().unwrap_or_default().to_owned();
    let asked = Asked {
        operation: text("operationName"),
        query: text("query"),
        variables: question["variables"].clone(),
        authorization: headers
            .get("authorization")
            .map(|v| v.to_str().unwrap().to_owned()),
    };
    shared.asked.lock().push(asked.clone());
    let first = shared.first.lock().pop_front();
    let answer = first.unwrap_or_else(|| (shared.script)(&asked));
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}
