-- Version 1. Times are fixed-width UTC text, digests are 16 raw bytes unless the column says text.

CREATE TABLE users (
  id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, name TEXT NOT NULL, email TEXT,
  admin INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL);

-- Keys are kept as SHA-256: a stolen data directory holds no credential.
CREATE TABLE api_keys (
  id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  hash BLOB NOT NULL UNIQUE, hint TEXT NOT NULL, description TEXT, read_only INTEGER NOT NULL DEFAULT 0);

CREATE TABLE organizations (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, org_type TEXT NOT NULL);

-- kind: user, team, org (the entity whose projects are an organization's registries)
CREATE TABLE entities (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
  user_id INTEGER REFERENCES users(id), organization_id INTEGER REFERENCES organizations(id),
  protected_aliases TEXT NOT NULL DEFAULT '[]', created_at TEXT NOT NULL);
CREATE INDEX entities_user ON entities(user_id);
CREATE INDEX entities_organization ON entities(organization_id);

-- role: admin, member, viewer
CREATE TABLE members (
  entity_id INTEGER NOT NULL REFERENCES entities(id), user_id INTEGER NOT NULL REFERENCES users(id),
  role TEXT NOT NULL, PRIMARY KEY (entity_id, user_id)) WITHOUT ROWID;
CREATE INDEX members_user ON members(user_id);

-- access: PRIVATE (the entity's members), RESTRICTED (the project's), USER_READ (anyone reads), USER_WRITE
CREATE TABLE projects (
  id INTEGER PRIMARY KEY, entity_id INTEGER NOT NULL REFERENCES entities(id), name TEXT NOT NULL,
  description TEXT, access TEXT NOT NULL DEFAULT 'PRIVATE', all_types INTEGER NOT NULL DEFAULT 1,
  user_id INTEGER REFERENCES users(id), created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
  UNIQUE (entity_id, name));

CREATE TABLE project_members (
  project_id INTEGER NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  user_id INTEGER REFERENCES users(id), team_id INTEGER REFERENCES entities(id), role TEXT NOT NULL,
  UNIQUE (project_id, user_id), UNIQUE (project_id, team_id));

CREATE TABLE artifact_types (
  id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES projects(id), name TEXT NOT NULL,
  description TEXT, created_at TEXT NOT NULL, UNIQUE (project_id, name));

-- A sequence (portfolio = 0) numbers artifacts logged to it, a portfolio those linked to it.
CREATE TABLE collections (
  id INTEGER PRIMARY KEY, entity_id INTEGER NOT NULL REFERENCES entities(id),
  project_id INTEGER NOT NULL REFERENCES projects(id), type_id INTEGER NOT NULL REFERENCES artifact_types(id),
  portfolio INTEGER NOT NULL, name TEXT NOT NULL, description TEXT, state TEXT NOT NULL DEFAULT 'READY',
  next_index INTEGER NOT NULL DEFAULT 0, xxh128 INTEGER, client_id TEXT,
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
-- A deleted collection gives its name free.
CREATE UNIQUE INDEX collections_name ON collections(project_id, name) WHERE state = 'READY';
CREATE INDEX collections_by_type ON collections(type_id, state);
CREATE INDEX collections_by_type_name ON collections(type_id, state, name);
CREATE INDEX collections_by_project ON collections(project_id, state);
CREATE INDEX collections_by_project_name ON collections(project_id, state, name);
CREATE INDEX collections_by_entity ON collections(entity_id, state);
CREATE INDEX collections_by_entity_name ON collections(entity_id, state, name);

CREATE TABLE runs (
  id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES projects(id), name TEXT NOT NULL,
  display_name TEXT, user_id INTEGER REFERENCES users(id), state TEXT NOT NULL DEFAULT 'running',
  run_group TEXT, job_type TEXT, sweep TEXT, commit_hash TEXT, host TEXT, program TEXT, description TEXT, notes TEXT,
  tags TEXT NOT NULL DEFAULT '[]', config TEXT NOT NULL DEFAULT '{}', summary TEXT NOT NULL DEFAULT '{}',
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE (project_id, name));

CREATE TABLE run_files (
  id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, name TEXT NOT NULL,
  md5 BLOB, size INTEGER NOT NULL DEFAULT 0, updated_at TEXT NOT NULL, UNIQUE (run_id, name));

-- The blobs on disk. A row is written after the blob is durable.
CREATE TABLE blobs (md5 BLOB PRIMARY KEY, xxh128 BLOB NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX blobs_xxh128 ON blobs(xxh128);

-- Content an entity has, and the artifact it first came with. Deduplication stays within an entity:
-- knowing the digest of someone else's file must not give its bytes.
CREATE TABLE births (
  entity_id INTEGER NOT NULL, md5 BLOB NOT NULL REFERENCES blobs(md5), artifact_id INTEGER NOT NULL,
  PRIMARY KEY (entity_id, md5)) WITHOUT ROWID;
CREATE INDEX births_md5 ON births(md5);

CREATE TABLE manifests (
  id INTEGER PRIMARY KEY, artifact_id INTEGER NOT NULL, type TEXT NOT NULL, name TEXT NOT NULL,
  digest TEXT NOT NULL DEFAULT '', base_id INTEGER, md5 BLOB REFERENCES blobs(md5), created_at TEXT NOT NULL);
CREATE INDEX manifests_by_artifact ON manifests(artifact_id);

-- The entries of a committed manifest, in path order. md5 is null for references.
CREATE TABLE entries (
  manifest_id INTEGER NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL, md5 BLOB, size INTEGER NOT NULL,
  birth TEXT, ref TEXT, extra TEXT, PRIMARY KEY (manifest_id, path)) WITHOUT ROWID;

CREATE TABLE artifacts (
  id INTEGER PRIMARY KEY, sequence_id INTEGER NOT NULL REFERENCES collections(id), digest TEXT NOT NULL,
  xxh128 INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'PENDING', description TEXT, metadata TEXT, labels TEXT,
  size INTEGER NOT NULL DEFAULT 0, file_count INTEGER NOT NULL DEFAULT 0, history_step INTEGER,
  ttl INTEGER, run_id INTEGER REFERENCES runs(id), user_id INTEGER REFERENCES users(id),
  distributed_id TEXT, storage_region TEXT, manifest_id INTEGER REFERENCES manifests(id),
  pending_aliases TEXT NOT NULL DEFAULT '[]', created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE INDEX artifacts_digest ON artifacts(sequence_id, digest);
CREATE INDEX artifacts_distributed ON artifacts(sequence_id, distributed_id) WHERE distributed_id IS NOT NULL;
CREATE INDEX artifacts_run ON artifacts(run_id);

CREATE TABLE client_ids (client_id TEXT PRIMARY KEY, artifact_id INTEGER NOT NULL REFERENCES artifacts(id)) WITHOUT ROWID;

-- A version in a collection. version_index < 0: not numbered yet (the artifact is pending).
-- state and entity_id repeat the artifact's and the collection's so that listings stay on one index.
CREATE TABLE memberships (
  id INTEGER PRIMARY KEY, entity_id INTEGER NOT NULL, collection_id INTEGER NOT NULL REFERENCES collections(id),
  artifact_id INTEGER NOT NULL REFERENCES artifacts(id), version_index INTEGER NOT NULL, commit_hash TEXT NOT NULL,
  state TEXT NOT NULL, created_at TEXT NOT NULL,
  UNIQUE (collection_id, version_index), UNIQUE (collection_id, artifact_id));
CREATE INDEX memberships_listing ON memberships(collection_id, state, version_index);
CREATE INDEX memberships_artifact ON memberships(artifact_id);
CREATE INDEX memberships_entity ON memberships(entity_id, state);
CREATE INDEX memberships_hash ON memberships(collection_id, commit_hash);

CREATE TABLE aliases (
  id INTEGER PRIMARY KEY, collection_id INTEGER NOT NULL REFERENCES collections(id),
  artifact_id INTEGER NOT NULL REFERENCES artifacts(id), alias TEXT NOT NULL, UNIQUE (collection_id, alias));
CREATE INDEX aliases_artifact ON aliases(artifact_id, collection_id);

CREATE TABLE tags (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL DEFAULT '', attributes TEXT NOT NULL DEFAULT '{}',
  UNIQUE (name, category));
CREATE TABLE artifact_tags (
  id INTEGER PRIMARY KEY, artifact_id INTEGER NOT NULL REFERENCES artifacts(id), tag_id INTEGER NOT NULL REFERENCES tags(id),
  UNIQUE (artifact_id, tag_id));
CREATE TABLE collection_tags (
  id INTEGER PRIMARY KEY, collection_id INTEGER NOT NULL REFERENCES collections(id), tag_id INTEGER NOT NULL REFERENCES tags(id),
  UNIQUE (collection_id, tag_id));

-- direction: input, output
CREATE TABLE run_artifacts (
  id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs(id), artifact_id INTEGER NOT NULL REFERENCES artifacts(id),
  direction TEXT NOT NULL, used_as TEXT, UNIQUE (run_id, direction, artifact_id));
CREATE INDEX run_artifacts_artifact ON run_artifacts(artifact_id, direction);

CREATE TABLE uploads (
  id INTEGER PRIMARY KEY, artifact_id INTEGER NOT NULL, md5 BLOB NOT NULL, parts INTEGER NOT NULL);
CREATE TABLE upload_parts (
  upload_id INTEGER NOT NULL REFERENCES uploads(id) ON DELETE CASCADE, part INTEGER NOT NULL, md5 BLOB NOT NULL,
  PRIMARY KEY (upload_id, part)) WITHOUT ROWID;
