"""What the mount shows is what the SDK says: levels, fields, aliases, attributes, references."""

import http.server
import json
import os
import pathlib
import subprocess
import threading

import pytest

from harness import Home, Mount, is_mounted, sdk, wandbfs

WRITE = """
    with wandb.init(project="agree", job_type="upload", name="first run") as run:
        for number in range(3):
            artifact = wandb.Artifact("set", type="dataset", description=f"number {number}",
                                      metadata={"n": number, "nested": {"a": [1, None, "x"]}})
            pathlib.Path("same.txt").write_text("the same in each version")
            pathlib.Path("changes.txt").write_text(f"version {number}")
            artifact.add_file("same.txt"); artifact.add_file("changes.txt", "sub/changes.txt")
            run.log_artifact(artifact, aliases=["best"] if number == 1 else [],
                             tags=["red", "green"] if number == 2 else []).wait()
        model = wandb.Artifact("net", type="model")
        pathlib.Path("weights").write_bytes(b"w" * 1000); model.add_file("weights")
        run.log_artifact(model).wait()
    with wandb.init(project="agree", job_type="train") as run:
        run.use_artifact("set:best")
    """

FIELDS = ["id", "name", "version", "entity", "project", "qualified_name", "source_entity",
          "source_project", "source_collection", "source_name", "source_version",
          "source_qualified_name", "is_link", "type", "description", "metadata", "aliases", "tags",
          "state", "size", "digest", "commit_hash", "file_count", "created_at", "updated_at",
          "history_step", "url"]

READ = """
    api = wandb.Api()
    def fields(artifact):
        found = {}
        for name in FIELDS:
            value = getattr(artifact, name)
            if name == "source_collection": value = value.name
            if name == "state": value = artifact.state.value if hasattr(artifact.state, "value") else artifact.state
            found[name] = value
        found["ttl"] = None
        return found
    collection = api.artifact_collection("dataset", "agree/set")
    result = dict(
        versions={a.version: fields(a) for a in collection.artifacts()},
        types=sorted(t.name for t in api.artifact_types("agree")),
        collections={t.name: sorted(c.name for c in t.collections())
                     for t in api.artifact_types("agree")},
        collection=dict(id=collection.id, name=collection.name, type=collection.type,
                        is_sequence=collection.is_sequence(), description=collection.description,
                        tags=sorted(collection.tags), aliases=sorted(collection.aliases),
                        created_at=collection.created_at),
        manifest=json.dumps(api.artifact("agree/set:v2").manifest.to_manifest_json()),
        files={f.name: f.size for f in api.artifact("agree/set:v2").files()},
    )
    """


@pytest.fixture(scope="module")
def told(module_server, module_home):
    """What the SDK says about what it wrote."""
    sdk(WRITE, home=module_home, server=module_server)
    return sdk(READ, home=module_home, server=module_server, FIELDS=FIELDS)


@pytest.fixture(scope="module")
def mount(module_server, told, tmp_path_factory):
    with Mount(module_server, Home(tmp_path_factory.mktemp("reader"))) as path:
        yield path


@pytest.fixture
def project(mount, module_server):
    return mount / module_server.entity / "agree"


def test_levels_list_what_the_sdk_lists(project, told):
    assert sorted(n for n in os.listdir(project) if n != "project.json") == told["types"]
    for kind, collections in told["collections"].items():
        assert sorted(n for n in os.listdir(project / kind) if n != "type.json") == collections


def test_every_field_of_every_version_agrees(project, told):
    for version, expected in told["versions"].items():
        shown = json.loads((project / "dataset" / "set" / version / "artifact.json").read_text())
        assert {name: shown[name] for name in FIELDS} == {n: expected[n] for n in FIELDS}, version


def test_collection_json_has_the_pinned_keys_and_the_sdks_values(project, told):
    text = (project / "dataset" / "set" / "collection.json").read_text()
    shown = json.loads(text)
    assert list(shown)[:10] == ["id", "name", "type", "is_sequence", "description", "tags", "aliases",
                                "created_at", "updated_at", "version_count"]
    shown["tags"], shown["aliases"] = sorted(shown["tags"]), sorted(shown["aliases"])
    assert {k: shown[k] for k in told["collection"]} == told["collection"]
    assert shown["version_count"] == 3
    assert text.startswith('{\n  "id"') and text.endswith("}\n")


def test_type_json_has_the_pinned_keys(project):
    shown = json.loads((project / "dataset" / "type.json").read_text())
    assert list(shown)[:5] == ["id", "name", "description", "created_at", "collection_count"]
    assert (shown["name"], shown["collection_count"]) == ("dataset", 1)


def test_aliases_are_links_to_their_versions(project):
    collection = project / "dataset" / "set"
    links = {n: os.readlink(collection / n) for n in os.listdir(collection) if (collection / n).is_symlink()}
    assert links == {"latest": "v2", "best": "v1"}
    assert (collection / "best" / "files" / "sub" / "changes.txt").read_text() == "version 1"


def test_the_manifest_is_the_stored_one(project, told):
    text = (project / "dataset" / "set" / "v2" / "manifest.json").read_text()
    ours, theirs = json.loads(text)["contents"], json.loads(told["manifest"])["contents"]
    assert {k: v["digest"] for k, v in ours.items()} == {k: v["digest"] for k, v in theirs.items()}


def test_sizes_are_exact_before_anything_is_opened(project, told):
    version = project / "dataset" / "set" / "v2"
    for name, size in told["files"].items():
        assert os.stat(version / "files" / name).st_size == size
    for name in ("artifact.json", "manifest.json", "../collection.json", "../../type.json"):
        assert os.stat(version / name).st_size == len((version / name).read_bytes()), name


def test_attributes_follow_the_contract(project, told):
    version = project / "dataset" / "set" / "v2"
    file, directory = os.stat(version / "files/same.txt"), os.stat(version / "files/sub")
    assert (file.st_mode, directory.st_mode) == (0o100444, 0o40755)
    assert directory.st_nlink == 1
    assert file.st_blocks == (file.st_size + 511) // 512
    from datetime import datetime, timezone
    created = datetime.fromisoformat(told["versions"]["v2"]["created_at"].replace("Z", "+00:00"))
    if created.tzinfo is None:
        created = created.replace(tzinfo=timezone.utc)
    assert int(file.st_mtime) == int(created.timestamp())


def test_extended_attributes_tell_provenance(project, told):
    import base64
    version = project / "dataset" / "set" / "v2"
    file = version / "files/same.txt"
    assert os.getxattr(version, "user.wandb.id").decode() == told["versions"]["v2"]["id"]
    assert os.getxattr(version, "user.wandb.digest").decode() == told["versions"]["v2"]["digest"]
    md5 = json.loads(told["manifest"])["contents"]["same.txt"]["digest"]
    assert os.getxattr(file, "user.wandb.md5").decode() == base64.b64decode(md5).hex()
    file.read_bytes()
    assert float(os.getxattr(file, "user.wandb.cached")) == 1.0
    assert os.getxattr(version, "user.wandb.url").decode() == told["versions"]["v2"]["url"]
    assert "user.wandb.md5" in os.listxattr(file)


@pytest.mark.parametrize("change", ["open('{}', 'w')", "os.unlink('{}')", "os.chmod('{}', 0o600)",
                                    "os.truncate('{}', 1)", "os.rename('{}', '{}x')",
                                    "os.mkdir('{}d')", "os.symlink('x', '{}l')"])
def test_nothing_can_be_changed(project, change):
    import errno
    path = str(project / "dataset/set/v2/files/same.txt")
    with pytest.raises(OSError) as refused:
        eval(change.format(path, path))
    assert refused.value.errno == errno.EROFS


@pytest.mark.parametrize("spelling", ["{e}/agree/set:best", "agree/set:best", "{e}/agree/dataset/set/v1",
                                      "{e}/agree/dataset/set/best"])
def test_root_of_a_version_is_its_files(module_server, home, told, spelling):
    root = spelling.format(e=module_server.entity)
    guard = Mount(module_server, home, "--root", root)
    with guard as path:
        assert sorted(os.listdir(path)) == ["same.txt", "sub"]
        assert (path / "sub/changes.txt").read_text() == "version 1"
        assert not os.path.exists(path / ".wandbfs")
    assert guard.ready["resolved"] == f"{module_server.entity}/agree/dataset/set/v1"


@pytest.mark.parametrize("root, child", [("{e}", "agree"), ("{e}/agree", "dataset"),
                                         ("{e}/agree/dataset", "set"), ("{e}/agree/dataset/set", "v0")])
def test_root_of_a_directory_is_that_directory(module_server, home, told, root, child):
    with Mount(module_server, home, "--root", root.format(e=module_server.entity)) as path:
        assert child in os.listdir(path)


def test_a_digest_or_commit_hash_resolves_unlisted(project, told):
    collection = project / "dataset" / "set"
    for field in ("digest", "commit_hash"):
        name = told["versions"]["v1"][field]
        assert (collection / name / "files/sub/changes.txt").read_text() == "version 1"
        assert name not in os.listdir(collection)


def test_ls_and_cat_show_the_same_tree_without_a_mount(module_server, home, told):
    env = home.env(module_server)
    path = f"{module_server.entity}/agree/dataset/set"
    listed = [json.loads(line) for line in wandbfs("ls", "--json", path, env=env).stdout.splitlines()]
    assert [list(entry) for entry in listed] == [["name", "kind", "path", "id", "size", "mtime", "target"]] * len(listed)
    assert {e["name"] for e in listed} == {"collection.json", "v0", "v1", "v2", "latest", "best"}
    assert wandbfs("cat", f"{path}/v1/files/sub/changes.txt", env=env).stdout == "version 1"
    assert wandbfs("cat", f"{module_server.entity}/agree/set:best/files/sub/changes.txt", env=env,
                   check=None).returncode in (0, 2, 4)
    ordered = [json.loads(line)["name"] for line in wandbfs(
        "ls", "--json", "--order", "+version_index", path, env=env).stdout.splitlines()]
    assert [n for n in ordered if n.startswith("v")] == ["v0", "v1", "v2"]
    tagged = [json.loads(line)["name"] for line in wandbfs(
        "ls", "--json", "--tags", "red", path, env=env).stdout.splitlines()]
    assert [n for n in tagged if n.startswith("v")] == ["v2"]


class RangedFile(http.server.BaseHTTPRequestHandler):
    """One object with an ETag and ranges, as an object store serves it."""

    content, etag, ranges = b"", "", []

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        content, status, span = self.content, 200, self.headers.get("Range")
        type(self).ranges.append(span)
        if span:
            start, end = span.removeprefix("bytes=").split("-")
            end = min(int(end) if end else len(content) - 1, len(content) - 1)
            content, status = content[int(start):end + 1], 206
        self.send_response(status)
        self.send_header("ETag", f'"{self.etag}"')
        self.send_header("Content-Length", str(len(content)))
        if span:
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(self.content)}")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    handler = type("Handler", (RangedFile,), {"ranges": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_http_references_are_read_through_by_range_and_pinned(module_server, home, web, request):
    handler, url = web
    handler.content, handler.etag = os.urandom(8 * 2**20), "first"
    sdk("""
        with wandb.init(project="agree", job_type="refs") as run:
            artifact = wandb.Artifact("refs", type="dataset")
            artifact.add_reference(url + "/object.bin", name="object.bin")
            artifact.add_reference("other://bucket/key", name="elsewhere")
            run.log_artifact(artifact).wait()
        """, home=home, server=module_server, url=url)
    with Mount(module_server, home) as mount:
        files = mount / module_server.entity / "agree/dataset/refs/latest/files"
        assert os.getxattr(files / "object.bin", "user.wandb.ref").decode() == url + "/object.bin"
        handler.ranges.clear()
        with open(files / "object.bin", "rb", buffering=0) as file:
            assert os.pread(file.fileno(), 1000, 5_000_000) == handler.content[5_000_000:5_001_000]
        assert any(handler.ranges), "a range was asked"
        assert (files / "object.bin").read_bytes() == handler.content
        import errno
        with pytest.raises(OSError) as refused:
            (files / "elsewhere").read_bytes()
        assert refused.value.errno == errno.EOPNOTSUPP
    handler.content, handler.etag = os.urandom(8 * 2**20), "second"
    with Mount(module_server, Home(home.root / "other")) as mount:
        files = mount / module_server.entity / "agree/dataset/refs/latest/files"
        with pytest.raises(OSError) as changed:
            (files / "object.bin").read_bytes()
        assert changed.value.errno == errno.EIO


def test_config_json_says_what_defaults_were_settled_to(module_server, home):
    with Mount(module_server, home) as mount:
        config = json.loads((mount / ".wandbfs" / "config.json").read_text())
    assert config["cache_dir"] == str(home.cache)
    assert config["cache_limit"] > 0 and config["profile"] == "explore"
