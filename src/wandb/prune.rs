//! Documents that shrink to what a server knows.
//!
//! A server of another make, or an older one, refuses a whole document for one field or argument it
//! does not know (protocol §2.4, §19). Its complaint says which; that part is taken out, and what
//! then is empty or unused with it. Only what the operation is about cannot be taken out.

use std::collections::BTreeSet;

use graphql_parser::query::{
    self, Definition, Field, OperationDefinition, Selection, SelectionSet, Type, TypeCondition,
    Value, parse_query,
};

use super::complaint::{Complaint, read};
use super::sdl::{is_a, type_of_field};

/// A document as a tree, with its text.
#[derive(Debug)]
pub(crate) struct Document {
    tree: query::Document<'static, String>,
    text: String,
    /// Variables whose type was changed once; a second complaint takes them out.
    retyped: BTreeSet<String>,
}

/// What became of a document after a refusal.
#[derive(Debug)]
pub(crate) enum Adapted {
    /// A smaller document to try.
    Pruned(Document),
    /// The server lacks this, without which the operation means nothing.
    Needed(String),
    /// The refusal has other reasons.
    NotAboutTheDocument,
}

impl Document {
    /// Parses one of our own documents.
    pub(crate) fn parse(text: &str) -> Self {
        let tree = match parse_query::<String>(text) {
            Ok(tree) => tree.into_static(),
            // Never taken: the build has parsed the text. Nothing can be pruned from it then.
            Err(_) => query::Document {
                definitions: Vec::new(),
            },
        };
        Self {
            tree,
            text: text.to_owned(),
            retyped: BTreeSet::new(),
        }
    }

    /// The text to send.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the operation still declares a variable.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.tree.definitions.iter().any(|definition| {
            operation_variables(definition)
                .iter()
                .any(|variable| variable.name == name)
        })
    }

    /// Whether a message is a complaint about a document.
    pub(crate) fn is_about(message: &str) -> bool {
        read(message).is_some()
    }

    /// The document without what the messages complain about.
    pub(crate) fn adapt(&self, messages: &[String]) -> Adapted {
        let complaints: Vec<Complaint> = messages.iter().filter_map(|text| read(text)).collect();
        if complaints.is_empty() {
            return Adapted::NotAboutTheDocument;
        }
        let mut tree = self.tree.clone();
        let mut retyped = self.retyped.clone();
        for complaint in &complaints {
            if let Complaint::Field(name, _) = complaint
                && matches!(name.as_str(), "edges" | "node")
            {
                return Adapted::Needed(name.clone());
            }
            apply(&mut tree, complaint, &mut retyped);
        }
        if !tidy(&mut tree) {
            return Adapted::Needed(complaints[0].subject());
        }
        if tree == self.tree {
            return Adapted::NotAboutTheDocument;
        }
        let text = tree.to_string();
        Adapted::Pruned(Self {
            tree,
            text,
            retyped,
        })
    }
}

fn apply(
    tree: &mut query::Document<'static, String>,
    complaint: &Complaint,
    retyped: &mut BTreeSet<String>,
) {
    match complaint {
        Complaint::Field(name, parent) => {
            let named = |field: &Field<'_, String>| field.name == *name;
            let before = tree.clone();
            remove_fields(tree, &|field, on| {
                named(field) && parent.as_deref().is_none_or(|parent| is_a(on, parent))
            });
            if *tree == before {
                remove_fields(tree, &|field, _| named(field));
            }
        }
        Complaint::Argument(name, of) => each_field(tree, &mut |field| {
            if of.as_deref().is_none_or(|of| of == field.name) {
                field.arguments.retain(|(argument, _)| argument != name);
            }
        }),
        Complaint::Variable(name, wanted) => {
            let wanted = wanted.as_deref().and_then(parse_type);
            match wanted.filter(|_| retyped.insert(name.clone())) {
                Some(wanted) => retype(tree, name, &wanted),
                None => remove_uses(tree, name),
            }
        }
        Complaint::Type(name) => {
            for variable in variables_of_type(tree, name) {
                remove_uses(tree, &variable);
            }
            tree.definitions.retain(|definition| {
                !matches!(definition, Definition::Fragment(f) if condition(&f.type_condition) == name)
            });
            each_selection(tree, &mut |selections| {
                selections.items.retain(|item| {
                    !matches!(item, Selection::InlineFragment(inline)
                        if inline.type_condition.as_ref().is_some_and(|c| condition(c) == name))
                });
            });
        }
        Complaint::Spread(name) => each_selection(tree, &mut |selections| {
            selections.items.retain(
                |item| !matches!(item, Selection::FragmentSpread(s) if s.fragment_name == *name),
            );
        }),
    }
}

fn condition<'a>(condition: &'a TypeCondition<'_, String>) -> &'a str {
    let TypeCondition::On(name) = condition;
    name
}

/// Parses a type reference such as `[String!]!`.
fn parse_type(text: &str) -> Option<Type<'static, String>> {
    let text = format!("query($x: {text}) {{ a }}");
    let tree = parse_query::<String>(&text).ok()?.into_static();
    let variables = tree.definitions.first().map(operation_variables)?;
    variables.first().map(|variable| variable.var_type.clone())
}

fn operation_variables<'a>(
    definition: &'a Definition<'static, String>,
) -> &'a [query::VariableDefinition<'static, String>] {
    match definition {
        Definition::Operation(OperationDefinition::Query(query)) => &query.variable_definitions,
        Definition::Operation(OperationDefinition::Mutation(mutation)) => {
            &mutation.variable_definitions
        }
        _ => &[],
    }
}

fn retype(tree: &mut query::Document<'static, String>, name: &str, to: &Type<'static, String>) {
    for definition in &mut tree.definitions {
        if let Definition::Operation(OperationDefinition::Query(query)) = definition {
            for variable in &mut query.variable_definitions {
                if variable.name == name {
                    variable.var_type = to.clone();
                }
            }
        }
    }
}

fn variables_of_type(tree: &query::Document<'static, String>, name: &str) -> Vec<String> {
    fn innermost<'a>(of: &'a Type<'_, String>) -> &'a str {
        match of {
            Type::NamedType(name) => name,
            Type::ListType(inner) | Type::NonNullType(inner) => innermost(inner),
        }
    }
    let all = tree.definitions.iter().flat_map(operation_variables);
    all.filter(|variable| innermost(&variable.var_type) == name)
        .map(|variable| variable.name.clone())
        .collect()
}

/// Takes out every argument whose value mentions a variable.
fn remove_uses(tree: &mut query::Document<'static, String>, name: &str) {
    each_field(tree, &mut |field| {
        field.arguments.retain(|(_, value)| !mentions(value, name));
    });
}

fn mentions(value: &Value<'_, String>, name: &str) -> bool {
    match value {
        Value::Variable(variable) => variable == name,
        Value::List(items) => items.iter().any(|item| mentions(item, name)),
        Value::Object(members) => members.values().any(|member| mentions(member, name)),
        _ => false,
    }
}

/// Takes out what earlier removals left empty or unused. False when nothing is left of the query.
fn tidy(tree: &mut query::Document<'static, String>) -> bool {
    loop {
        let before = tree.definitions.len();
        tree.definitions.retain(|definition| {
            !matches!(definition, Definition::Fragment(f) if f.selection_set.items.is_empty())
        });
        let (known, spread) = (fragment_names(tree), spread_names(tree));
        each_selection(tree, &mut |selections| {
            selections.items.retain(|item| match item {
                Selection::FragmentSpread(spread) => known.contains(&spread.fragment_name),
                _ => true,
            });
        });
        tree.definitions.retain(|definition| match definition {
            Definition::Fragment(fragment) => spread.contains(&fragment.name),
            Definition::Operation(_) => true,
        });
        let emptied = remove_emptied(tree);
        if before == tree.definitions.len() && !emptied {
            break;
        }
    }
    let mut used = BTreeSet::new();
    each_field(tree, &mut |field| {
        for (_, value) in &field.arguments {
            collect_variables(value, &mut used);
        }
    });
    let mut left = false;
    for definition in &mut tree.definitions {
        if let Definition::Operation(OperationDefinition::Query(query)) = definition {
            query
                .variable_definitions
                .retain(|v| used.contains(&v.name));
            left |= !query.selection_set.items.is_empty();
        }
    }
    left
}

fn collect_variables(value: &Value<'_, String>, into: &mut BTreeSet<String>) {
    match value {
        Value::Variable(name) => {
            into.insert(name.clone());
        }
        Value::List(items) => items.iter().for_each(|item| collect_variables(item, into)),
        Value::Object(members) => members.values().for_each(|v| collect_variables(v, into)),
        _ => {}
    }
}

fn fragment_names(tree: &query::Document<'static, String>) -> BTreeSet<String> {
    let names = tree
        .definitions
        .iter()
        .filter_map(|definition| match definition {
            Definition::Fragment(fragment) => Some(fragment.name.clone()),
            Definition::Operation(_) => None,
        });
    names.collect()
}

fn spread_names(tree: &mut query::Document<'static, String>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    each_selection(tree, &mut |selections| {
        for item in &selections.items {
            if let Selection::FragmentSpread(spread) = item {
                names.insert(spread.fragment_name.clone());
            }
        }
    });
    names
}

/// Fields that had a selection and lost all of it. A leaf has none from the start, which the span
/// tells: the parser gives an absent selection the place of the field itself.
fn remove_emptied(tree: &mut query::Document<'static, String>) -> bool {
    let mut removed = false;
    each_selection(tree, &mut |selections| {
        let before = selections.items.len();
        selections.items.retain(|item| match item {
            Selection::Field(field) => {
                let set = &field.selection_set;
                !(set.items.is_empty() && set.span.0 != set.span.1)
            }
            Selection::InlineFragment(inline) => !inline.selection_set.items.is_empty(),
            Selection::FragmentSpread(_) => true,
        });
        removed |= selections.items.len() != before;
    });
    removed
}

type EachSelection<'f> = dyn FnMut(&mut SelectionSet<'static, String>) + 'f;

/// Visits every selection set, the outer before the inner.
fn each_selection(tree: &mut query::Document<'static, String>, visit: &mut EachSelection<'_>) {
    fn walk(set: &mut SelectionSet<'static, String>, visit: &mut EachSelection<'_>) {
        visit(set);
        for item in &mut set.items {
            match item {
                Selection::Field(field) => walk(&mut field.selection_set, visit),
                Selection::InlineFragment(inline) => walk(&mut inline.selection_set, visit),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    for definition in &mut tree.definitions {
        if let Some((set, _)) = root_of(definition) {
            walk(set, visit);
        }
    }
}

fn each_field(
    tree: &mut query::Document<'static, String>,
    visit: &mut dyn FnMut(&mut Field<'static, String>),
) {
    each_selection(tree, &mut |selections| {
        for item in &mut selections.items {
            if let Selection::Field(field) = item {
                visit(field);
            }
        }
    });
}

/// The selection of a definition, and the type it is on.
fn root_of<'d>(
    definition: &'d mut Definition<'static, String>,
) -> Option<(&'d mut SelectionSet<'static, String>, String)> {
    match definition {
        Definition::Operation(OperationDefinition::Query(query)) => {
            Some((&mut query.selection_set, "Query".to_owned()))
        }
        Definition::Operation(OperationDefinition::Mutation(mutation)) => {
            Some((&mut mutation.selection_set, "Mutation".to_owned()))
        }
        Definition::Fragment(fragment) => {
            let on = condition(&fragment.type_condition).to_owned();
            Some((&mut fragment.selection_set, on))
        }
        Definition::Operation(_) => None,
    }
}

/// Removes the fields of which `unwanted` says so, given the type they stand on.
fn remove_fields(
    tree: &mut query::Document<'static, String>,
    unwanted: &dyn Fn(&Field<'static, String>, &str) -> bool,
) {
    fn walk(
        set: &mut SelectionSet<'static, String>,
        on: &str,
        unwanted: &dyn Fn(&Field<'static, String>, &str) -> bool,
    ) {
        set.items.retain(|item| match item {
            Selection::Field(field) => !unwanted(field, on),
            _ => true,
        });
        for item in &mut set.items {
            match item {
                Selection::Field(field) => {
                    let inner = type_of_field(on, &field.name);
                    walk(&mut field.selection_set, inner, unwanted);
                }
                Selection::InlineFragment(inline) => {
                    let inner = inline.type_condition.as_ref().map_or(on, condition);
                    walk(&mut inline.selection_set, inner, unwanted);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    for definition in &mut tree.definitions {
        if let Some((set, on)) = root_of(definition) {
            walk(set, &on, unwanted);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;
    use crate::wandb::operations as op;

    fn prune(document: &Document, messages: &[&str]) -> Document {
        let messages: Vec<String> = messages.iter().map(|text| (*text).to_owned()).collect();
        match document.adapt(&messages) {
            Adapted::Pruned(document) => document,
            other => panic!("{messages:?} gives {other:?}"),
        }
    }

    #[test]
    fn an_unknown_field_goes_where_its_type_has_it_and_nowhere_else() {
        let document = Document::parse(op::PROJECT_ARTIFACTS.text);
        let smaller = prune(
            &document,
            &[
                r#"input:1:2: Cannot query field "description" on type "Artifact". Did you mean "x"?"#,
            ],
        );
        assert!(!smaller.text().contains("description"));
        let collections = Document::parse(op::ARTIFACT_TYPE_ARTIFACT_COLLECTIONS.text);
        let smaller = prune(
            &collections,
            &[r#"Cannot query field "description" on type "Artifact"."#],
        );
        // No Artifact is selected there, so the name alone decides.
        assert!(!smaller.text().contains("description"));
        let interface = prune(
            &collections,
            &[r#"Cannot query field "updatedAt" on type "ArtifactSequence"."#],
        );
        assert!(!interface.text().contains("updatedAt"));
        assert!(interface.text().contains("createdAt"));
    }

    #[test]
    fn what_becomes_empty_or_unused_goes_too() {
        let document = Document::parse(op::ARTIFACT_MEMBERSHIP_BY_NAME.text);
        let smaller = prune(
            &document,
            &[
                r#"Cannot query field "currentManifest" on type "Artifact"."#,
                r#"Unknown field "artifactCollection" on type "ArtifactAlias"."#,
            ],
        );
        assert!(!smaller.text().contains("directUrl"));
        assert!(
            smaller.text().contains("CollectionPlace"),
            "memberships still use it"
        );
        let smaller = prune(
            &smaller,
            &[
                r#"Cannot query field "artifactMemberships" on type "Artifact"."#,
                r#"Cannot query field "artifactCollection" on type "ArtifactCollectionMembership"."#,
            ],
        );
        assert!(!smaller.text().contains("CollectionPlace"));
    }

    #[test]
    fn arguments_variables_and_types_go_with_their_declarations() {
        let document = Document::parse(op::ARTIFACT_TYPE_ARTIFACT_COLLECTIONS.text);
        let without = prune(
            &document,
            &[
                r#"Unknown argument "filters" on field "ArtifactType.artifactCollections"."#,
                r#"Field 'artifactCollections' doesn't accept argument 'order'"#,
            ],
        );
        assert!(!without.declares("filters") && !without.declares("order"));
        assert!(without.declares("cursor"));
        assert!(
            without.text().contains("COMMITTED"),
            "another field's filters stay"
        );
        let typeless = prune(&document, &[r#"Unknown type "JSONString"."#]);
        assert!(!typeless.declares("filters") && typeless.declares("order"));
    }

    #[test]
    fn a_variable_first_takes_the_wanted_type_and_then_leaves() {
        let complaint =
            r#"Variable "$perPage" of type "Int" used in position expecting type "Int!"."#;
        let document = Document::parse(op::GET_PROJECTS.text);
        let retyped = prune(&document, &[complaint]);
        assert!(
            retyped.text().contains("$perPage: Int!"),
            "{}",
            retyped.text()
        );
        let gone = prune(&retyped, &[complaint]);
        assert!(!gone.declares("perPage") && gone.declares("entity"));
    }

    #[test]
    fn what_the_operation_is_about_cannot_be_pruned() {
        let document = Document::parse(op::ARTIFACT_FILE_URLS_BY_MANIFEST_ENTRIES.text);
        let complaint = r#"Cannot query field "filesByManifestEntries" on type "Artifact"."#;
        let Adapted::Needed(what) = document.adapt(&[complaint.to_owned()]) else {
            panic!("pruned")
        };
        assert_eq!(what, "Artifact.filesByManifestEntries");
    }

    #[test]
    fn refusals_for_other_reasons_are_left_alone() {
        let document = Document::parse(op::GET_PROJECT.text);
        for message in ["project \"x\" not found", "permission denied", ""] {
            let adapted = document.adapt(&[message.to_owned()]);
            assert!(matches!(adapted, Adapted::NotAboutTheDocument), "{message}");
        }
    }
}
