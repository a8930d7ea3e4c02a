-- Version 2: what newer nouns need of an older directory.

-- Whether clients may name new artifacts of the entity by XXH128.
ALTER TABLE entities ADD COLUMN xxh128 INTEGER NOT NULL DEFAULT 1;

-- The parts of a multipart upload that were announced, with their MD5 if it was given.
CREATE TABLE upload_specs (
  upload_id INTEGER NOT NULL REFERENCES uploads(id) ON DELETE CASCADE, part INTEGER NOT NULL, md5 BLOB,
  PRIMARY KEY (upload_id, part)) WITHOUT ROWID;

-- Orders besides name and id stay on an index too.
CREATE INDEX collections_by_type_created ON collections(type_id, state, created_at);
CREATE INDEX collections_by_type_updated ON collections(type_id, state, updated_at);
CREATE INDEX collections_by_project_created ON collections(project_id, state, created_at);
CREATE INDEX collections_by_project_updated ON collections(project_id, state, updated_at);
