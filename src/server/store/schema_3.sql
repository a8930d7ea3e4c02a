-- Version 3: content belongs to projects, and a completed upload is remembered.

-- Content a project has, and the artifact it first came with there. Whoever sees a project that has some
-- content may have it without sending it; knowing the digest of what one does not see gives nothing.
ALTER TABLE births RENAME TO births_by_entity;
CREATE TABLE births (
  md5 BLOB NOT NULL REFERENCES blobs(md5), project_id INTEGER NOT NULL, artifact_id INTEGER NOT NULL,
  PRIMARY KEY (md5, project_id)) WITHOUT ROWID;
INSERT OR IGNORE INTO births SELECT x.md5, c.project_id, x.artifact_id FROM births_by_entity x
  JOIN artifacts a ON a.id = x.artifact_id JOIN collections c ON c.id = a.sequence_id;
INSERT OR IGNORE INTO births SELECT x.md5, c.project_id, x.artifact_id FROM entries e
  JOIN artifacts a ON a.manifest_id = e.manifest_id JOIN collections c ON c.id = a.sequence_id
  JOIN births_by_entity x ON x.entity_id = c.entity_id AND x.md5 = e.md5;
DROP TABLE births_by_entity;

-- A client that gave up waiting for the completion of its upload asks again.
ALTER TABLE uploads ADD COLUMN completed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX uploads_artifact ON uploads(artifact_id);

-- The versions of a sequence by time.
CREATE INDEX artifacts_created ON artifacts(sequence_id, created_at);
CREATE INDEX artifacts_updated ON artifacts(sequence_id, updated_at);
