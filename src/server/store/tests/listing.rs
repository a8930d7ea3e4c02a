//! Pages, orders and filters.

use std::collections::BTreeSet;

use super::*;
use crate::server::store::page::Page;

/// A page of the rows' ids.
fn ids<T>(page: Page<T>, id: impl Fn(&T) -> i64) -> Page<i64> {
    let items = page
        .items
        .into_iter()
        .map(|(cursor, item)| (cursor, id(&item)))
        .collect();
    Page {
        items,
        has_next: page.has_next,
        has_previous: page.has_previous,
    }
}

/// Walks a listing with pages of `size` and checks that each item comes once, both ways.
fn walk(size: usize, fetch: impl Fn(&PageRequest) -> Page<i64>) -> Vec<i64> {
    let mut all = Vec::new();
    let mut request = PageRequest {
        first: Some(size),
        ..PageRequest::default()
    };
    loop {
        let page = fetch(&request);
        assert!(page.items.len() <= size);
        request.after = page.items.last().map(|(cursor, _)| cursor.clone());
        let more = page.has_next;
        all.extend(page.items.into_iter().map(|(_, item)| item));
        if !more {
            break;
        }
    }
    let mut back = Vec::new();
    let mut request = PageRequest {
        last: Some(size),
        ..PageRequest::default()
    };
    loop {
        let page = fetch(&request);
        request.before = page.items.first().map(|(cursor, _)| cursor.clone());
        back.splice(0..0, page.items.into_iter().map(|(_, item)| item));
        if !page.has_previous {
            break;
        }
    }
    assert_eq!(back, all);
    all
}

#[test]
fn pages_of_every_size_give_each_row_once() {
    let world = World::new();
    for index in 0..7 {
        let alias = json!({"aliases": [{"alias": format!("a{index}")}]});
        log(&world, "many", &format!("content {index}"), alias);
        let other = json!({"artifactTypeName": format!("t{index}")});
        log(&world, &format!("c{index}"), "x", other);
    }
    let read = |listing: &page::Listing, request: &PageRequest| {
        world
            .store
            .read(|db| listing.page(db, request, |row| row.get::<_, i64>(0)))
            .unwrap()
    };
    let project = world
        .store
        .read(|db| projects::find(db, world.me, "ann", "p"))
        .unwrap()
        .unwrap();
    let many = world.collection("many");
    for size in [1, 2, 50] {
        for order in [
            None,
            Some("+version_index"),
            Some("-created_at"),
            Some("size"),
        ] {
            let listing = versions::listing(many, false, None, order).unwrap();
            let seen = walk(size, |request| read(&listing, request));
            assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 7, "{order:?}");
            assert_eq!(seen.len(), 7);
        }
        for order in [
            None,
            Some("name"),
            Some("-name"),
            Some("+created_at"),
            Some("updated_at"),
        ] {
            let scope = collections::Scope::Project(project.id);
            let listing = collections::listing(scope, world.me, None, None, None, order).unwrap();
            assert_eq!(
                walk(size, |request| read(&listing, request)).len(),
                8,
                "{order:?}"
            );
        }
        let aliases = walk(size, |request| {
            ids(
                world
                    .store
                    .read(|db| aliases::of_collection(db, many, request))
                    .unwrap(),
                |row| row.id,
            )
        });
        assert_eq!(aliases.len(), 8);
        let types = walk(size, |request| {
            ids(
                world
                    .store
                    .read(|db| collections::types(db, project.id, request))
                    .unwrap(),
                |row| row.id,
            )
        });
        assert_eq!(types.len(), 8);
    }
}

#[test]
fn a_cursor_stays_right_when_newer_versions_appear() {
    let world = World::new();
    for index in 0..4 {
        log(&world, "c", &format!("{index}"), json!({}));
    }
    let listing = versions::listing(world.collection("c"), false, None, None).unwrap();
    let request = PageRequest {
        first: Some(2),
        ..PageRequest::default()
    };
    let first = world
        .store
        .read(|db| versions::page(db, &listing, &request))
        .unwrap();
    log(&world, "c", "new", json!({}));
    let rest = PageRequest {
        first: Some(2),
        after: Some(first.items[1].0.clone()),
        ..PageRequest::default()
    };
    let page = world
        .store
        .read(|db| versions::page(db, &listing, &rest))
        .unwrap();
    let numbers: Vec<_> = page
        .items
        .iter()
        .filter_map(|(_, (member, _))| member.version_index())
        .collect();
    assert_eq!(numbers, [1, 0]);
    assert!(!page.has_next);
}

#[test]
fn every_filter_operator_selects_what_it_says() {
    let world = World::new();
    for (index, (tag, color, list)) in [
        ("gold", "red", json!([1, 2])),
        ("silver", "green", json!([2])),
        ("gold", "blue", json!([])),
    ]
    .into_iter()
    .enumerate()
    {
        let metadata = json!({"color": color, "n": index, "deep": {"er": list}}).to_string();
        log(
            &world,
            "c",
            &format!("{index}"),
            json!({"metadata": metadata, "tags": [{"tagName": tag}], "aliases": [{"alias": format!("a{index}")}]}),
        );
    }
    for (filter, expected) in [
        ("{}", vec![0, 1, 2]),
        (r#"{"version_index": 1}"#, vec![1]),
        (r#"{"version": "v2"}"#, vec![2]),
        (r#"{"version_index": {"$ne": 1}}"#, vec![0, 2]),
        (r#"{"version_index": {"$lt": 1}}"#, vec![0]),
        (r#"{"version_index": {"$lte": 1}}"#, vec![0, 1]),
        (r#"{"version_index": {"$gt": 1}}"#, vec![2]),
        (r#"{"version_index": {"$gte": 1, "$lt": 2}}"#, vec![1]),
        (r#"{"version_index": {"$in": [0, 2]}}"#, vec![0, 2]),
        (r#"{"version_index": {"$nin": [0, 2]}}"#, vec![1]),
        (r#"{"version_index": {"$not": {"$gt": 0}}}"#, vec![0]),
        (r#"{"tag": "gold"}"#, vec![0, 2]),
        (r#"{"tag": {"$ne": "gold"}}"#, vec![1]),
        (r#"{"tags": {"$in": ["silver", "none"]}}"#, vec![1]),
        (r#"{"tags": {"$all": ["gold"]}}"#, vec![0, 2]),
        (r#"{"tags": {"$size": 1}}"#, vec![0, 1, 2]),
        (r#"{"tags": {"$exists": false}}"#, vec![]),
        (r#"{"tag": {"$regex": "^s"}}"#, vec![1]),
        (r#"{"alias": "a1"}"#, vec![1]),
        (r#"{"alias": {"$contains": "latest"}}"#, vec![2]),
        (r#"{"digest": {"$contains": "2"}}"#, vec![2]),
        (r#"{"state": "committed"}"#, vec![0, 1, 2]),
        (r#"{"description": {"$exists": true}}"#, vec![]),
        (r#"{"description": null}"#, vec![0, 1, 2]),
        (r#"{"metadata.color": "red"}"#, vec![0]),
        (r#"{"metadata.color": {"$regex": "e$"}}"#, vec![2]),
        (r#"{"metadata.color": {"$contains": "re"}}"#, vec![0, 1]),
        (r#"{"metadata.n": {"$gte": 1}}"#, vec![1, 2]),
        (r#"{"metadata.deep.er": 2}"#, vec![0, 1]),
        (r#"{"metadata.deep.er": {"$all": [1, 2]}}"#, vec![0]),
        (r#"{"metadata.deep.er": {"$size": 0}}"#, vec![2]),
        (r#"{"metadata.nothing": {"$exists": false}}"#, vec![0, 1, 2]),
        (r#"{"metadata.nothing": {"$ne": 1}}"#, vec![0, 1, 2]),
        (
            r#"{"$and": [{"tag": "gold"}, {"metadata.n": {"$lt": 1}}]}"#,
            vec![0],
        ),
        (r#"{"$or": [{"alias": "a0"}, {"alias": "a2"}]}"#, vec![0, 2]),
        (r#"{"$nor": [{"alias": "a0"}, {"alias": "a2"}]}"#, vec![1]),
        (r#"{"$not": {"tag": "gold"}}"#, vec![1]),
        (r#"{"created_at": {"$gt": "2001-01-01"}}"#, vec![0, 1, 2]),
        (r#"{"created_at": {"$lt": "2001-01-01T00:00:00Z"}}"#, vec![]),
    ] {
        assert_eq!(
            world
                .indexes("c", Some(filter), Some("version_index"))
                .unwrap(),
            expected,
            "{filter}"
        );
    }
}

#[test]
fn wrong_filters_orders_and_cursors_are_the_callers_mistake() {
    let world = World::new();
    log(&world, "c", "one", json!({}));
    for filter in [
        "[",
        "[]",
        r#"{"nothing": 1}"#,
        r#"{"tag": {"$near": 1}}"#,
        r#"{"$xor": []}"#,
        r#"{"$and": {}}"#,
        r#"{"version_index": "x"}"#,
        r#"{"tag": {"$regex": "("}}"#,
        r#"{"created_at": "soon"}"#,
        r#"{"tags": {"$in": 3}}"#,
        r#"{"name": "x' OR 1=1 --"}"#,
    ] {
        assert!(
            matches!(
                world.indexes("c", Some(filter), None),
                Err(StoreError::Invalid(_))
            ),
            "{filter}"
        );
    }
    assert!(matches!(
        world.indexes("c", None, Some("-colour")),
        Err(StoreError::Invalid(_))
    ));
    let listing = versions::listing(world.collection("c"), false, None, None).unwrap();
    let request = PageRequest {
        after: Some("nonsense".into()),
        ..PageRequest::default()
    };
    assert!(matches!(
        world
            .store
            .read(|db| versions::page(db, &listing, &request)),
        Err(StoreError::Invalid(_))
    ));
    assert_eq!(
        world
            .indexes("c", Some(r#"{"digest": "x' OR 1=1 --"}"#), None)
            .unwrap(),
        [0_i64; 0]
    );
}
