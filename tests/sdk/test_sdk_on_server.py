"""The unmodified SDK, mode online, against our server: what protocol section 14 asserts and this
server promises so far."""

import http.server
import signal
import threading

import pytest

from harness import Home, Server, sdk


@pytest.fixture(scope="module")
def chat(module_server, module_home):
    """A conversation with the SDK; `project` is free to use."""
    def run(code, **variables):
        return sdk(code, home=module_home, server=module_server, **variables)
    return run


def log(name, content, **extra):
    options = ", ".join(f"{k}={v!r}" for k, v in extra.items())
    return f"""
with wandb.init(project=project) as run:
    artifact = wandb.Artifact({name!r}, type="dataset")
    with artifact.new_file("f.txt") as f: f.write({content!r})
    run.log_artifact(artifact{", " + options if options else ""}).wait()
    result = artifact.version
"""


def test_equal_content_is_no_new_version_and_changed_content_is(chat):
    versions = [chat(log("same", text), project="dedup") for text in ("a", "a", "b", "a", "c")]
    assert versions[0] == versions[1] == "v0" and versions[2] == "v1"
    assert versions[-1] == f"v{len(set(versions)) - 1}"


def test_latest_follows_and_an_alias_moves(chat):
    for text in ("1", "2", "3"):
        chat(log("alias", text, aliases=["moving"]), project="aliases")
    found = chat("""
        api = wandb.Api()
        result = {a.version: sorted(a.aliases) for a in api.artifacts("dataset", "aliases/alias")}
        """)
    assert found == {"v0": [], "v1": [], "v2": ["latest", "moving"]}


def test_versions_list_in_both_orders_with_any_page_size_and_resume(chat):
    for text in "abcde":
        chat(log("pages", text), project="pages")
    found = chat("""
        api = wandb.Api()
        def versions(**kw): return [a.version for a in api.artifacts("dataset", "pages/pages", **kw)]
        result = dict(
            up=versions(order="+version_index"), down=versions(order="-version_index"),
            ones=versions(order="+version_index", per_page=1), twos=versions(order="+version_index", per_page=2),
            length=len(api.artifacts("dataset", "pages/pages", per_page=2)))
        """)
    up = [f"v{n}" for n in range(5)]
    assert found == dict(up=up, down=up[::-1], ones=up, twos=up, length=5)


def test_collections_filter_and_order(chat):
    for name in ("beta", "alpha", "gamma"):
        chat(log(name, name), project="collections")
    found = chat("""
        kind = wandb.Api().artifact_type("dataset", "collections")
        def names(**kw): return [c.name for c in kind.collections(**kw)]
        result = dict(up=names(order="+name"), down=names(order="-name"),
                      some=sorted(names(filters={"name": {"$regex": "a$"}})),
                      one=names(filters={"name": "beta"}), length=len(kind.collections()))
        """)
    assert found == dict(up=["alpha", "beta", "gamma"], down=["gamma", "beta", "alpha"],
                         some=["alpha", "beta", "gamma"], one=["beta"], length=3)


def test_files_directories_and_download_recreate_the_tree(chat, tmp_path):
    chat("""
        root = pathlib.Path("tree"); (root / "a/b").mkdir(parents=True)
        (root / "top.txt").write_text("top"); (root / "a/one.bin").write_bytes(bytes(range(256)))
        (root / "a/b/empty").write_text("")
        with wandb.init(project="tree") as run:
            artifact = wandb.Artifact("tree", type="dataset", metadata={"k": [1, {"x": None}]},
                                      description="a tree")
            artifact.add_dir(str(root)); artifact.add_file("tree/top.txt", name="again.txt")
            run.log_artifact(artifact).wait()
        """)
    found = chat("""
        artifact = wandb.Api().artifact("tree/tree:latest")
        artifact.download(root=target); artifact.verify(target)
        one = artifact.get_entry("a/one.bin").download(root=target + "-one")
        prefix = artifact.download(root=target + "-prefix", path_prefix="a/")
        result = dict(files={str(p.relative_to(target)): p.stat().st_size
                             for p in pathlib.Path(target).rglob("*") if p.is_file()},
                      one=pathlib.Path(one).read_bytes() == bytes(range(256)),
                      prefix=sorted(p.name for p in pathlib.Path(prefix).rglob("*") if p.is_file()),
                      length=len(artifact.files()), names=[f.name for f in artifact.files(names=["top.txt"])],
                      storage=all(f.storage_path.startswith("wandb_artifacts/") for f in artifact.files()),
                      size=artifact.size, count=artifact.file_count,
                      metadata=artifact.metadata, description=artifact.description)
        """, target=str(tmp_path / "down"))
    assert found == dict(
        files={"top.txt": 3, "again.txt": 3, "a/one.bin": 256, "a/b/empty": 0}, one=True,
        prefix=["empty", "one.bin"], length=4, names=["top.txt"], storage=True, size=262, count=4,
        metadata={"k": [1, {"x": None}]}, description="a tree")


def test_inputs_and_outputs_of_runs(chat):
    found = chat("""
        with wandb.init(project="runs", id="producer") as run:
            artifact = wandb.Artifact("in", type="dataset")
            with artifact.new_file("f") as f: f.write("x")
            run.log_artifact(artifact).wait()
        with wandb.init(project="runs", id="consumer") as run:
            run.use_artifact("in:latest")
        api = wandb.Api()
        artifact = api.artifact("runs/in:latest")
        result = dict(logged=[a.name for a in api.run("runs/producer").logged_artifacts() if a.type == "dataset"],
                      used=[a.name for a in api.run("runs/consumer").used_artifacts()],
                      by=artifact.logged_by().id, users=[r.id for r in artifact.used_by()])
        """)
    assert found == dict(logged=["in:v0"], used=["in:v0"], by="producer", users=["consumer"])


def test_edits_of_a_version_and_of_a_collection(chat):
    chat(log("edit", "x"), project="edits")
    found = chat("""
        artifact = wandb.Api().artifact("edits/edit:v0")
        artifact.description = "new"; artifact.metadata = {"a": 1}
        artifact.tags = ["one", "two"]; artifact.aliases.append("prod"); artifact.save()
        artifact = wandb.Api().artifact("edits/edit:prod")
        artifact.tags = ["two"]; artifact.aliases.remove("prod"); artifact.save()
        collection = wandb.Api().artifact_collection("dataset", "edits/edit")
        collection.description = "about"; collection.tags = ["t"]; collection.name = "renamed"
        collection.save()
        artifact = wandb.Api().artifact("edits/renamed:v0")
        collection = wandb.Api().artifact_collection("dataset", "edits/renamed")
        result = dict(version=[artifact.description, artifact.metadata, sorted(artifact.tags), sorted(artifact.aliases)],
                      collection=[collection.description, collection.tags, collection.aliases])
        """)
    assert found == dict(version=["new", {"a": 1}, ["two"], ["latest"]],
                         collection=["about", ["t"], ["latest"]])


def test_what_is_not_there_does_not_exist(chat):
    chat(log("here", "x"), project="exists")
    found = chat("""
        api = wandb.Api()
        result = [api.artifact_exists(n) for n in ("exists/here:v0", "exists/here:v1", "exists/no:v0", "no/no:v0")] \\
            + [api.artifact_collection_exists(n, "dataset") for n in ("exists/here", "exists/no")]
        """)
    assert found == [True, False, False, False, True, False]


def test_an_http_reference_is_pinned_by_its_etag(chat, tmp_path):
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("ETag", '"tag-1"')
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"page")

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        found = chat("""
            with wandb.init(project="refs") as run:
                artifact = wandb.Artifact("refs", type="dataset")
                artifact.add_reference(url, name="page"); run.log_artifact(artifact).wait()
            artifact = wandb.Api().artifact("refs/refs:latest")
            entry = artifact.manifest.entries["page"]
            artifact.download(root=target)
            result = [entry.ref, entry.digest, entry.size, pathlib.Path(target, "page").read_text()]
            """, url=f"http://127.0.0.1:{web.server_port}/page", target=str(tmp_path / "down"))
    finally:
        web.shutdown()
        web.server_close()
    assert found[1:] == ["tag-1", 4, "page"]


def test_a_committed_artifact_survives_kill_9_of_the_server(tmp_path):
    home, data = Home(tmp_path / "home"), tmp_path / "data"
    server = Server(data)
    try:
        assert sdk(log("kept", "kept"), home=home, server=server, project="p") == "v0"
    finally:
        server.stop(signal.SIGKILL)
    with Server(data) as again:
        assert again.api_key == server.api_key
        text = sdk("""
            root = wandb.Api().artifact("p/kept:latest").download()
            result = pathlib.Path(root, "f.txt").read_text()
            """, home=home, server=again)
    assert text == "kept"


def test_sigterm_ends_the_server_with_0(tmp_path):
    assert Server(tmp_path / "data").stop() == 0
