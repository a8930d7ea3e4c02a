//! The official SDK as a witness. It needs a Python with `wandb` installed, named by
//! `WANDBFS_SDK_PYTHON`; `scripts/test` provides one and runs this with `--ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::process::Stdio;

use common::Harness;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Python with the SDK, see the module"]
async fn the_sdk_writes_lists_and_reads_back() {
    let python = std::env::var_os("WANDBFS_SDK_PYTHON").expect("WANDBFS_SDK_PYTHON is set");
    let harness = Harness::new().await;
    let home = tempfile::tempdir().unwrap();
    let dir = |name: &str| {
        let dir = home.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        dir
    };
    // Any plain http content does for the reference; the server's own manifest is at hand.
    let version = harness.log("plain", &[("a", b"referenced")]).await;
    let reference = harness.file_url(&version, "a").await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/witness.py");
    let output = tokio::process::Command::new(python)
        .arg(script)
        .arg(reference)
        .env("WANDB_BASE_URL", harness.server.base_url())
        .env("WANDB_API_KEY", harness.server.api_key())
        .env("WANDB_DIR", dir("run"))
        .env("WANDB_CACHE_DIR", dir("cache"))
        .env("WANDB_DATA_DIR", dir("data"))
        .env("WANDB_CONFIG_DIR", dir("config"))
        .env("WANDB_ARTIFACT_DIR", dir("artifacts"))
        .env("HOME", home.path())
        .env("WANDB_SILENT", "true")
        .env_remove("WANDB_MODE")
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("witnessed"),
        "{text}\n{errors}"
    );
}
