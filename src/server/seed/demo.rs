//! The demo: a little of everything, to walk through.
//!
//! | where | what |
//! |---|---|
//! | `<user>/quickstart` | `dataset/notes` (three versions of a few texts, one of them a reference by http), `result/report` |
//! | `vision-lab/images` | `dataset/photos` (10,000 small files in subdirectories), `model/classifier` (64 MB, five versions that differ in one file each) |
//! | `speech-lab/voices` | `dataset/phrases` (two versions, with a description, metadata and tags) |
//! | the entity of `Demo Org`, `wandb-registry-model` | `image-classifier`, a registry collection that links two versions of the model |
//!
//! Runs `train-1` to `train-5` of `vision-lab/images` use the data set and log the model.

use serde_json::json;

use super::{
    SAMPLE, sample_etag,
    writer::{About, Content, Writer},
};
use crate::server::store::{
    StoreError,
    accounts::{self, Role},
    blobs::Received,
    collections::{self, CollectionRow},
    enrol,
    links::link_version,
    projects, runs,
    versions::VersionRow,
};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The organization of both teams.
const ORGANIZATION: &str = "Demo Org";

/// Weight files of the model, 8 MB each: 64 MB a version, of which one file is new.
const SHARDS: usize = 8;

/// Bytes of a weight file.
const SHARD_BYTES: usize = 8_000_000;

/// Versions of the model; with one new shard each they take 96 MB on disk.
const MODELS: usize = 5;

/// Classes of the data set, each a directory.
const CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// Files of a class: 800 for training, 200 for testing.
const PER_CLASS: usize = 1000;

/// Seconds in a day, the distance between versions.
const DAY: i64 = 86_400;

/// Makes the demo, unless it is there.
pub(super) fn plant(writer: &mut Writer<'_>, base_url: &str) -> Result<()> {
    if accounts::entity_named(writer.tx, "vision-lab")?.is_some() {
        return Ok(());
    }
    let (organization, org_entity) = enrol::ensure_organization(writer.tx, ORGANIZATION)?;
    for team in ["vision-lab", "speech-lab"] {
        let id = enrol::insert_entity(writer.tx, team, "team", None, Some(organization))?;
        enrol::add_member(writer.tx, id, writer.viewer.user_id, Role::Admin)?;
    }
    if let Some(entity) = accounts::org_entity(writer.tx, organization)? {
        enrol::add_member(writer.tx, entity.id, writer.viewer.user_id, Role::Admin)?;
    }
    quickstart(writer, base_url)?;
    phrases(writer)?;
    let images = writer.project(
        "vision-lab",
        "images",
        Some("Pictures and what recognizes them"),
    )?;
    let photos = photos(writer, images.id)?;
    let models = models(writer, images.id, photos.as_ref())?;
    registry(writer, &org_entity, &models)
}

/// Files given as texts, in the order of their paths.
fn texts(writer: &Writer<'_>, files: &[(&str, &str)]) -> Result<Vec<Result<(String, Content)>>> {
    let mut files = files.to_vec();
    files.sort_unstable();
    files
        .into_iter()
        .map(|(path, text)| {
            Ok(Ok((
                path.to_owned(),
                Content::Stored(writer.store(text.as_bytes())?),
            )))
        })
        .collect()
}

fn quickstart(writer: &mut Writer<'_>, base_url: &str) -> Result<()> {
    let project = writer.project(writer.username, "quickstart", Some("Start here"))?;
    let Some(notes) = notes(writer, project.id, base_url)? else {
        return Ok(());
    };
    let described = Some("What came out");
    let Some(report) = writer.collection(project.id, "result", "report", described, &[])? else {
        return Ok(());
    };
    let run = writer.run(project.id, "report-1", "summarize", &json!({"words": 12}))?;
    runs::record(writer.tx, run, notes.id, "input", Some("notes"))?;
    let text = "# Report\n\nThree things to buy, one to read.\n";
    let scores = "name,score\nnotes,0.91\n";
    let files = texts(writer, &[("report.md", text), ("scores.csv", scores)])?;
    let about = About {
        metadata: Some(json!({"score": 0.91})),
        run: Some(run),
        at: 3 * DAY,
        ..About::default()
    };
    writer.version(&report, &about, files.into_iter())?;
    Ok(())
}

/// Three versions of a few texts; answers the last, which has a reference.
fn notes(writer: &mut Writer<'_>, project: i64, base_url: &str) -> Result<Option<VersionRow>> {
    let described = Some("A few notes, one of them a reference");
    let tags = ["text", "small"];
    let Some(notes) = writer.collection(project, "dataset", "notes", described, &tags)? else {
        return Ok(None);
    };
    let run = writer.run(project, "notes-1", "collect-notes", &json!({}))?;
    let readme = "# Notes\n\nThree versions of a few texts. Compare them:\n\n    diff -r v0/files v2/files\n";
    let (short, long) = ("bread\nmilk\napples\n", "bread\nmilk\napples\ntea\n");
    let start = [("README.md", readme), ("lists/shopping.txt", short)];
    let more = |todo| {
        [
            ("README.md", readme),
            ("lists/shopping.txt", long),
            ("lists/todo.txt", todo),
        ]
    };
    let first = texts(writer, &start)?;
    let second = texts(writer, &more("write\nread\n"))?;
    let mut third = texts(writer, &more("read\n"))?;
    third.push(Ok((
        "remote/sample.txt".to_owned(),
        Content::Reference {
            url: format!("{base_url}/public/sample.txt"),
            etag: sample_etag(),
            size: SAMPLE.len() as u64,
        },
    )));
    let told: [(_, &[&str], _); 3] = [
        ("The first notes", &["draft"], first),
        ("One more list", &[], second),
        ("With a text that lives elsewhere", &["best"], third),
    ];
    let mut last = None;
    for (day, (description, aliases, entries)) in (0..).zip(told) {
        let about = About {
            description: Some(description),
            aliases,
            run: Some(run),
            at: day * DAY,
            ..About::default()
        };
        last = Some(writer.version(&notes, &about, entries.into_iter())?);
    }
    Ok(last)
}

fn phrases(writer: &mut Writer<'_>) -> Result<()> {
    let project = writer.project("speech-lab", "voices", None)?;
    let described = Some("Sentences to be read aloud");
    let Some(phrases) = writer.collection(
        project.id,
        "dataset",
        "phrases",
        described,
        &["audio", "english"],
    )?
    else {
        return Ok(());
    };
    for version in 0..2_usize {
        let files = (0..20)
            .map(|index| {
                let text = format!("Phrase {index}, take {version}: the quick brown fox jumps over {} lazy dogs.\n", index + version);
                Ok(Ok((format!("en/{index:03}.txt"), Content::Stored(writer.store(text.as_bytes())?))))
            })
            .collect::<Result<Vec<_>>>()?;
        let about = About {
            aliases: if version == 0 { &["reviewed"] } else { &[] },
            tags: &["checked"],
            metadata: Some(
                json!({"language": "en", "speakers": 4 + version, "rate": {"hz": 16_000}}),
            ),
            at: version as i64 * DAY,
            ..About::default()
        };
        writer.version(&phrases, &about, files.into_iter())?;
    }
    Ok(())
}

fn photos(writer: &mut Writer<'_>, project: i64) -> Result<Option<VersionRow>> {
    let described = Some("Ten classes of small pictures, as text");
    let Some(photos) = writer.collection(
        project,
        "dataset",
        "photos",
        described,
        &["images", "labelled"],
    )?
    else {
        return Ok(None);
    };
    let readme = "# Photos\n\nTen classes, 1000 files each: `train/<class>/` and `test/<class>/`.\nEach file holds the pixels of one picture as characters.\n";
    let mut entries = vec![Ok((
        "README.md".to_owned(),
        Content::Stored(writer.store(readme.as_bytes())?),
    ))];
    let mut random = Random(1);
    for (part, range) in [
        ("test", PER_CLASS * 4 / 5..PER_CLASS),
        ("train", 0..PER_CLASS * 4 / 5),
    ] {
        for class in CLASSES {
            for index in range.clone() {
                let picture = picture(class, index, &mut random);
                entries.push(Ok((
                    format!("{part}/{class}/{index:04}.txt"),
                    Content::Stored(writer.store(picture.as_bytes())?),
                )));
            }
        }
    }
    let about = About {
        description: Some("All classes"),
        aliases: &["best", "production"],
        tags: &["frozen"],
        metadata: Some(json!({"classes": CLASSES, "pictures": CLASSES.len() * PER_CLASS})),
        ..About::default()
    };
    writer
        .version(&photos, &about, entries.into_iter())
        .map(Some)
}

/// Sixteen rows of characters under a line that says what they show.
fn picture(class: &str, index: usize, random: &mut Random) -> String {
    const SHADES: &[u8] = b" .:-=+*#%@";
    let mut text = format!("{class} {index:04}\n");
    for _ in 0..16 {
        let row = random.next();
        for column in 0..16 {
            let shade = (row >> (column * 4) & 15) as usize % SHADES.len();
            text.push(char::from(SHADES[shade]));
        }
        text.push('\n');
    }
    text
}

/// Aliases of the model's versions, besides `latest`.
const MODEL_ALIASES: [&[&str]; MODELS] = [
    &["baseline"],
    &[],
    &["production"],
    &["best"],
    &["candidate"],
];

fn models(
    writer: &mut Writer<'_>,
    project: i64,
    photos: Option<&VersionRow>,
) -> Result<Vec<VersionRow>> {
    let described = Some("Recognizes the ten classes of photos");
    let Some(model) = writer.collection(project, "model", "classifier", described, &["vision"])?
    else {
        return Ok(Vec::new());
    };
    let mut shards = (0..SHARDS)
        .map(|index| writer.store(&weights(index as u64)))
        .collect::<Result<Vec<_>>>()?;
    let mut made = Vec::new();
    for (version, aliases) in MODEL_ALIASES.into_iter().enumerate() {
        if version > 0 {
            shards[version] = writer.store(&weights((100 + version) as u64))?;
        }
        let epoch = version + 1;
        let accuracy = 0.81 + 0.03 * version as f64;
        let name = format!("train-{epoch}");
        let config = json!({"lr": {"value": 0.1 / epoch as f64}});
        let run = writer.run(project, &name, &name, &config)?;
        if let Some(photos) = photos {
            runs::record(writer.tx, run, photos.id, "input", Some("photos"))?;
        }
        let entries = model_files(writer, &shards, epoch, accuracy)?;
        let about = About {
            description: Some(if version == 0 {
                "From scratch"
            } else {
                "Trained further"
            }),
            aliases,
            tags: if version == 3 {
                &["reviewed", "small"]
            } else {
                &[]
            },
            metadata: Some(json!({"accuracy": accuracy, "epoch": epoch})),
            run: Some(run),
            at: epoch as i64 * DAY,
        };
        made.push(writer.version(&model, &about, entries.into_iter())?);
    }
    Ok(made)
}

/// What is in a version of the model.
fn model_files(
    writer: &Writer<'_>,
    shards: &[Received],
    epoch: usize,
    accuracy: f64,
) -> Result<Vec<Result<(String, Content)>>> {
    let readme = format!(
        "# Classifier\n\nThe weights are in eight files.\n\nAccuracy on the test pictures: {accuracy:.2}\n"
    );
    let config = json!({"classes": CLASSES, "layers": 50, "shards": SHARDS, "epoch": epoch});
    let config = format!("{config:#}\n");
    let mut entries = texts(writer, &[("README.md", &readme), ("config.json", &config)])?;
    entries.extend(shards.iter().enumerate().map(|(index, blob)| {
        let path = format!("weights/shard-{:02}-of-{SHARDS:02}.bin", index + 1);
        Ok((path, Content::Stored(*blob)))
    }));
    Ok(entries)
}

/// A weight file: noise, the same on every machine.
fn weights(seed: u64) -> Vec<u8> {
    let mut random = Random(seed + 1000);
    let mut bytes = Vec::with_capacity(SHARD_BYTES);
    while bytes.len() < SHARD_BYTES {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(SHARD_BYTES);
    bytes
}

fn registry(writer: &Writer<'_>, org_entity: &str, models: &[VersionRow]) -> Result<()> {
    let name = format!("{}model", projects::REGISTRY_PREFIX);
    let project = writer.project(org_entity, &name, Some("Models that may be used"))?;
    let kind = collections::ensure_type(writer.tx, project.id, "model", None)?;
    let portfolio: CollectionRow = collections::create(
        writer.tx,
        &kind,
        true,
        "image-classifier",
        Some("The classifier, as released"),
    )?;
    for (index, aliases) in [(2, &["production"][..]), (3, &["staging"][..])] {
        if let Some(model) = models.get(index) {
            link_version(writer.tx, writer.viewer, &portfolio, model, aliases)?;
        }
    }
    Ok(())
}

/// SplitMix64: a few instructions a word, and no library whose next release might count differently.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
