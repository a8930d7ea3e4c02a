//! `wandbfs ls`: a directory of the tree, without a mount. Prints each page as it comes.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::assemble::{self, Parts, Shape};
use super::console::Console;
use super::flags::{CredentialFlags, SourceFlags, configuration};
use super::outcome::{Failure, Outcome};
use crate::model::{Error, ListOptions};
use crate::tree::{Attributes, Kind, Node};
use crate::wandb::config::{Config, Environment};

/// Arguments of `ls`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  wandbfs ls                                    your entities\n  \
                  wandbfs ls -l my-team/proj/dataset/mnist      versions and aliases\n  \
                  wandbfs ls my-team/proj/mnist:latest          a version, as the SDK names it\n  \
                  wandbfs ls --order=-created_at --limit 5 my-team/proj/model/bert\n  \
                  wandbfs ls --filter '{\"state\":\"COMMITTED\"}' --tags gold my-team/proj/model/bert")]
pub(crate) struct LsArgs {
    /// Show kind, size, time and where aliases lead
    #[arg(short = 'l', help_heading = "Output")]
    long: bool,

    /// Only what matches this filter, in the SDK's MongoDB-like JSON
    #[arg(long, value_name = "JSON", value_parser = json_object, help_heading = "Choosing")]
    filter: Option<String>,

    /// Sort by a field, such as -created_at
    #[arg(long, value_name = "±FIELD", allow_hyphen_values = true, value_parser = order, help_heading = "Choosing")]
    order: Option<String>,

    /// Only what has all of these tags
    #[arg(
        long,
        value_name = "T,…",
        value_delimiter = ',',
        help_heading = "Choosing"
    )]
    tags: Vec<String>,

    /// Stop after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Choosing")]
    limit: Option<u64>,

    #[command(flatten)]
    source: SourceFlags,

    #[command(flatten)]
    credential: CredentialFlags,

    /// entity/project/type/collection/version/files/…, or entity/project/collection:alias
    #[arg(value_name = "PATH", default_value = "")]
    path: String,
}

/// A line of `--json`.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    kind: &'static str,
    path: String,
    id: Option<String>,
    size: u64,
    mtime: String,
    target: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &LsArgs, console: Console) -> Outcome {
    let environment = Environment::of_process();
    let config = configuration(
        &args.credential,
        args.source.cache_dir.as_ref(),
        &environment,
    )?;
    let what = format!("ls {}", args.path);
    let path = assemble::path(&what, &args.path)?;
    super::runtime()?.block_on(async {
        let parts = assemble::parts(&config, &args.source, Shape::default(), Default::default())?;
        let failed = |error: Error| Failure::remote(what.clone(), &error, &config);
        let node = parts.tree.resolve(&path).await.map_err(failed)?;
        let mut printer = Printer {
            parts: &parts,
            config: &config,
            what: &what,
            console,
            long: args.long,
        };
        if node.kind() != Kind::Directory {
            let name = args.path.rsplit('/').next().unwrap_or(&args.path);
            return printer.print(name, &node).await;
        }
        printer.directory(args, &node).await
    })
}

struct Printer<'a> {
    parts: &'a Parts,
    config: &'a Config,
    what: &'a str,
    console: Console,
    long: bool,
}

impl Printer<'_> {
    fn failed(&self, error: &Error) -> Failure {
        Failure::remote(self.what, error, self.config)
    }

    async fn directory(&mut self, args: &LsArgs, node: &Node) -> Outcome {
        let tree = &self.parts.tree;
        let options = ListOptions {
            filters: args.filter.clone(),
            order: args.order.clone(),
        };
        let chosen = options != ListOptions::default() || !args.tags.is_empty();
        let mut listing = match chosen {
            true => tree.list_with(node, options, args.tags.clone()),
            false => tree.list(node),
        }
        .map_err(|error| self.failed(&error))?;
        let mut left = args.limit.unwrap_or(u64::MAX);
        while left > 0
            && let Some(page) = listing
                .next_page()
                .await
                .map_err(|error| self.failed(&error))?
        {
            for child in page
                .iter()
                .take(usize::try_from(left).unwrap_or(usize::MAX))
            {
                self.print(&child.name.to_string_lossy(), &child.node)
                    .await?;
                left -= 1;
            }
            io::stdout().flush()?;
        }
        Ok(())
    }

    async fn print(&self, name: &str, node: &Node) -> Outcome {
        if !self.console.json && !self.long {
            return Ok(writeln!(io::stdout(), "{name}")?);
        }
        let (attributes, _) = self
            .parts
            .tree
            .attributes(node)
            .await
            .map_err(|error| self.failed(&error))?;
        let line = self.line(name, node, &attributes)?;
        let mut out = io::stdout().lock();
        if self.console.json {
            serde_json::to_writer(&mut out, &line).map_err(io::Error::from)?;
            return Ok(out.write_all(b"\n")?);
        }
        let arrow = line
            .target
            .map_or_else(String::new, |to| format!(" -> {to}"));
        let letter = match attributes.kind {
            Kind::Directory => 'd',
            Kind::File => '-',
            Kind::Symlink => 'l',
        };
        Ok(writeln!(
            out,
            "{letter} {:>14} {} {name}{arrow}",
            line.size, line.mtime
        )?)
    }

    fn line(&self, name: &str, node: &Node, attributes: &Attributes) -> Outcome<Line> {
        let tree = &self.parts.tree;
        let kind = match attributes.kind {
            Kind::Directory => "directory",
            Kind::File => "file",
            Kind::Symlink => "symlink",
        };
        let target = match attributes.kind {
            Kind::Symlink => {
                let target = tree.read_link(node).map_err(|error| self.failed(&error))?;
                Some(target.to_string_lossy().into_owned())
            }
            _ => None,
        };
        Ok(Line {
            name: name.to_owned(),
            kind,
            path: node.path(),
            id: tree
                .xattr(node, "user.wandb.id".as_ref())
                .map(|id| String::from_utf8_lossy(&id).into_owned()),
            size: attributes.size,
            mtime: jiff::Timestamp::try_from(attributes.mtime).map_or_else(
                |_| String::new(),
                |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            ),
            target,
        })
    }
}

fn json_object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("not a JSON object: {error}")),
    }
}

fn order(text: &str) -> Result<String, String> {
    let field = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    match !field.is_empty() && field.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("a field such as +created_at or -size".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_sign_and_a_field() {
        for text in ["+created_at", "-size", "name", "-metadata.loss"] {
            assert!(order(text).is_ok(), "{text}");
        }
        for text in ["", "-", "--size", "a b"] {
            assert!(order(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_is_a_json_object() {
        assert!(json_object(r#"{"a":1}"#).is_ok());
        assert!(json_object("[1]").is_err() && json_object("{").is_err());
    }
}
