//! `wandbfs doctor`: looks for what is missing, step by step, and says what to type.

mod account;
mod machine;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::console::Console;
use super::flags::CredentialFlags;
use super::outcome::{Exit, Outcome, Stop};
use super::values;
use crate::wandb::config::{Config, Environment, Overrides};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  wandbfs doctor\n  \
                  wandbfs doctor --offline      look at this machine only\n  \
                  wandbfs doctor --json | jq '.checks[] | select(.ok | not)'")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    credential: CredentialFlags,

    /// Ask no server
    #[arg(long)]
    offline: bool,

    /// Longest that one step may take
    #[arg(long, value_name = "D", default_value = "10s", value_parser = values::positive_duration)]
    timeout: Duration,

    /// Root of the cache shared with the W&B SDK [default: $WANDB_CACHE_DIR or ~/.cache/wandb]
    #[arg(long, value_name = "D")]
    cache_dir: Option<PathBuf>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    /// Stable name.
    name: &'static str,
    /// Whether it stands in nobody's way.
    ok: bool,
    /// What was found.
    detail: String,
    /// What to type; `null` where there is nothing to do.
    fix: Option<String>,
}

impl Check {
    fn good(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            ok: true,
            detail: detail.into(),
            fix: None,
        }
    }

    fn bad(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            ok: false,
            detail: detail.into(),
            fix: Some(fix.into()),
        }
    }

    /// Fine as it is, with something that could be typed to have more.
    fn could_be_better(
        name: &'static str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            ok: true,
            ..Self::bad(name, detail, fix)
        }
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    credential_source: String,
    base_url: Option<String>,
    base_url_source: Option<String>,
    checks: Vec<Check>,
}

/// Runs the command.
pub(crate) fn run(args: &DoctorArgs, console: Console) -> Outcome {
    let report = examine(args)?;
    if console.json {
        console.object(&report)?;
    } else {
        show(&report, console)?;
    }
    match report.ok {
        true => Ok(()),
        // The report is the message, so nothing further is printed.
        false => Err(Stop::Reported(Exit::Failed)),
    }
}

fn examine(args: &DoctorArgs) -> Outcome<Report> {
    let environment = Environment::of_process();
    let overrides = Overrides {
        base_url: None,
        api_key_file: args.credential.api_key_file.clone(),
        cache_dir: args.cache_dir.clone(),
    };
    let config = Config::load(&overrides, &environment);
    let mut checks = account::settings(&config);
    if let Ok(config) = &config {
        checks.push(account::credential(config));
        if !args.offline {
            super::runtime()?.block_on(account::server(config, args.timeout, &mut checks));
        }
    }
    checks.extend(machine::checks(config.as_ref().ok(), &environment));
    let config = config.ok();
    Ok(Report {
        ok: checks.iter().all(|check| check.ok),
        credential_source: config
            .as_ref()
            .map_or("none", Config::credential_source)
            .to_owned(),
        base_url: config.as_ref().map(|c| c.base_url.value.to_string()),
        base_url_source: config.map(|c| c.base_url.source),
        checks,
    })
}

fn show(report: &Report, console: Console) -> Outcome {
    for check in &report.checks {
        let mark = if check.ok { "ok  " } else { "FAIL" };
        console.text(&format!("{mark} {:<12} {}", check.name, check.detail))?;
        if let Some(fix) = &check.fix {
            console.text(&format!("     {:<12} -> {fix}", ""))?;
        }
    }
    console.text(if report.ok {
        "everything is there to mount"
    } else {
        "something is missing, see FAIL above"
    })
}
