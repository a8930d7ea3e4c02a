//! Checks every GraphQL document of `src/wandb/queries` against `src/wandb/schema.graphql` and
//! writes them as constants, so that a field which does not exist fails the build and not a user.
//!
//! Each operation is written with just the fragments it uses, compactly printed.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use apollo_compiler::ast::{Definition, Document, Selection};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};

const SCHEMA: &str = "src/wandb/schema.graphql";
const QUERIES: &str = "src/wandb/queries";

/// Name of a fragment, and its text with the names of the fragments it spreads.
type Fragments = BTreeMap<String, (String, BTreeSet<String>)>;

fn main() -> ExitCode {
    match generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}"); // Display keeps the diagnostics' lines, which Debug would not
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SCHEMA}");
    println!("cargo::rerun-if-changed={QUERIES}");
    let schema = Schema::parse_and_validate(fs::read_to_string(SCHEMA)?, SCHEMA)
        .map_err(|fault| fault.to_string())?;
    let fragments = read_fragments()?;
    let mut generated = String::new();
    let mut used = BTreeSet::new();
    for path in documents(Path::new(QUERIES))? {
        let operation = read_operation(&schema, &path, &fragments, &mut used)?;
        generated.push_str(&operation);
    }
    if let Some(idle) = fragments.keys().find(|name| !used.contains(*name)) {
        return Err(format!("fragment {idle} is used by no operation").into());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("operations.rs");
    fs::write(out, generated)?;
    Ok(())
}

/// The `.graphql` files of a directory, by name.
fn documents(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "graphql") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn parse(path: &Path) -> Result<Document, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    Document::parse(text, path).map_err(|fault| fault.to_string().into())
}

fn read_fragments() -> Result<Fragments, Box<dyn Error>> {
    let mut fragments = Fragments::new();
    for path in documents(&Path::new(QUERIES).join("fragments"))? {
        for definition in parse(&path)?.definitions {
            let Definition::FragmentDefinition(fragment) = &definition else {
                return Err(format!("{}: only fragments belong here", path.display()).into());
            };
            let mut spreads = BTreeSet::new();
            collect_spreads(&fragment.selection_set, &mut spreads);
            let text = definition.serialize().no_indent().to_string();
            fragments.insert(fragment.name.to_string(), (text, spreads));
        }
    }
    Ok(fragments)
}

/// One operation as the text of a Rust constant. `used` collects the fragments it spreads.
fn read_operation(
    schema: &Valid<Schema>,
    path: &Path,
    fragments: &Fragments,
    used: &mut BTreeSet<String>,
) -> Result<String, Box<dyn Error>> {
    let document = parse(path)?;
    let [Definition::OperationDefinition(operation)] = document.definitions.as_slice() else {
        return Err(format!("{}: one operation per file", path.display()).into());
    };
    let name = operation.name.as_ref().ok_or("an operation needs a name")?;
    if path.file_stem().is_none_or(|stem| stem != name.as_str()) {
        return Err(format!("{}: named {name} inside", path.display()).into());
    }
    let mut text = document.serialize().no_indent().to_string();
    let mut open = BTreeSet::new();
    collect_spreads(&operation.selection_set, &mut open);
    let mut added = BTreeSet::new();
    while let Some(spread) = open.pop_first() {
        if let Some((body, inner)) = fragments.get(&spread)
            && added.insert(spread)
        {
            text.push(' ');
            text.push_str(body);
            open.extend(inner.iter().cloned());
        }
    }
    used.extend(added);
    ExecutableDocument::parse_and_validate(schema, &text, path)
        .map_err(|fault| fault.to_string())?;
    let mut constant = String::new();
    writeln!(
        constant,
        "pub(crate) const {}: Operation = Operation {{ name: {:?}, text: {:?} }};",
        shouting(name),
        name.as_str(),
        text
    )?;
    Ok(constant)
}

fn collect_spreads(selections: &[Selection], into: &mut BTreeSet<String>) {
    for selection in selections {
        match selection {
            Selection::Field(field) => collect_spreads(&field.selection_set, into),
            Selection::InlineFragment(inline) => collect_spreads(&inline.selection_set, into),
            Selection::FragmentSpread(spread) => {
                into.insert(spread.fragment_name.to_string());
            }
        }
    }
}

/// `GetViewer` as `GET_VIEWER`; a run of capitals is one word (`ArtifactByID`).
fn shouting(name: &str) -> String {
    let mut text = String::new();
    let mut previous_is_small = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && previous_is_small {
            text.push('_');
        }
        previous_is_small = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        text.push(letter.to_ascii_uppercase());
    }
    text
}
