"""Files of versions: listings, downloads, the cache, parts, references."""

import http.server
import os
import pathlib
import shutil
import sys
import threading
from unittest import mock

import requests

from witness import ENTITY, GIVEN, OLD, PROJECT, done, draft, log, part, refusal, seen, start, tree
import wandb

# The clouds' libraries are not installed and nothing of them is asked: the SDK only has to find them.
for library in ("boto3", "botocore", "botocore.client", "botocore.exceptions", "google.cloud", "google.cloud.storage", "azure", "azure.identity",
                "azure.storage", "azure.storage.blob"):
    sys.modules.setdefault(library, mock.MagicMock())

path = f"{ENTITY}/{PROJECT}"
OBJECTS = pathlib.Path(os.environ["WANDB_CACHE_DIR"]) / "artifacts/obj"
root = pathlib.Path("tree")
(root / "a/b").mkdir(parents=True)
(root / "ab").mkdir()
(root / "top.txt").write_text("top")
(root / "a/one.bin").write_bytes(bytes(range(256)))
(root / "a/b/empty").write_text("")
(root / "ab/c").write_text("c")
(root / "odd #?%+ näme.txt").write_text("odd")


class Page(http.server.BaseHTTPRequestHandler):
    """/tagged has an ETag (which the test changes), /plain has none."""

    tag = "one"

    def do_GET(self):
        if self.path == "/missing":
            return self.send_error(404)
        self.send_response(200)
        if self.path == "/tagged":
            self.send_header("ETag", f'"{self.tag}"')
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"page")

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=web.serve_forever, daemon=True).start()
site = f"http://127.0.0.1:{web.server_port}"
other = pathlib.Path("other").absolute()
(other / "sub").mkdir(parents=True)
(other / "x").write_text("x!")
(other / "sub/y").write_text("y!")

with start() as run:
    artifact = wandb.Artifact("tree", "dataset")
    artifact.add_dir(str(root))
    artifact.add_file("tree/top.txt", name="again.txt")
    run.log_artifact(artifact).wait()
    log(run, "empty", {})
    log(run, "shared", {"copy": bytes(range(256))})
    log(run, "parts", {"big": bytes(range(256)) * 8192, "small": "s"})
    log(run, "cached", {"f": "right"})
    target = log(run, "target", {"dir/f": "target"})
    with part():
        references = wandb.Artifact("references", "dataset")
        references.add_reference(f"{site}/tagged", name="tagged")
        references.add_reference(f"{site}/plain", name="plain")
        references.add_reference(f"{site}/tagged", name="unchecked", checksum=False)
        references.add_reference(f"file://{other}", name="local")
        references.add_reference(f"file://{other}/x", name="file unchecked", checksum=False)
        references.add_reference("s3://bucket/key", name="s3", checksum=False)
        references.add_reference("gs://bucket/key", name="gs", checksum=False)
        references.add_reference("https://account.blob.core.windows.net/container/blob", name="azure", checksum=False)
        references.add_reference("ftp://host/file", name="tracked")
        entry = wandb.Api().artifact(f"{path}/target:latest").get_entry("dir/f")
        references.add_reference(entry, name="other artifact")
        run.log_artifact(references).wait()
    with part():
        def web_version():
            changing = wandb.Artifact("changing", "dataset")
            changing.add_reference(f"{site}/tagged", name="page")
            return run.log_artifact(changing).wait().version
        seen["web versions"] = [web_version(), web_version()]
        Page.tag = "two"
        seen["web versions"].append(web_version())
    with part():
        dangling = draft("dangling", {"stays": "stays"})
        # The stand-in of the cloud's library has no versions of any object.
        dangling.add_reference("s3://bucket/gone", name="gone", checksum=False)
        run.log_artifact(dangling).wait()
    with part():
        broken = wandb.Artifact("broken", "dataset")
        seen["missing references"] = [bool(refusal(lambda: broken.add_reference(uri, name="x")))
                                      for uri in (f"{site}/missing", f"file://{other}/none", "no-scheme")]

api = wandb.Api()
with part():
    artifact = api.artifact(f"{path}/tree:latest")
    artifact.download(root="down/tree")
    artifact.verify("down/tree")
    seen["tree"] = tree("down/tree") == {**tree(root), "again.txt": "top"}
    seen["numbers"] = [artifact.size, artifact.file_count]
    seen["default root"] = os.path.basename(artifact.download())
    seen["prefix"] = sorted(tree(artifact.download(root="down/prefix", path_prefix="a")))
    seen["one entry"] = pathlib.Path(artifact.get_entry("a/one.bin").download(root="down/one")).read_bytes() == bytes(range(256))
    seen["no entry"] = refusal(lambda: artifact.get_entry("none"))
    (pathlib.Path("down/tree") / "extra").write_text("extra")
    artifact.checkout("down/tree")
    seen["checked out"] = "extra" in tree("down/tree")
    (pathlib.Path("down/tree") / "top.txt").write_text("bad")
    seen["verify"] = refusal(lambda: artifact.verify("down/tree"))
    seen["empty"] = tree(api.artifact(f"{path}/empty:latest").download(root="down/empty"))
    seen["single file"] = pathlib.Path(api.artifact(f"{path}/cached:latest").file("down/single")).read_text()
with part():
    artifact = api.artifact(f"{path}/tree:latest")
    files = artifact.files(per_page=2)
    seen["file names"] = sorted(f.name for f in files)
    seen["file count"] = len(artifact.files())
    seen["by names"] = sorted(f.name for f in artifact.files(names=["top.txt", "ab/c", "none"]))
    seen["storage paths"] = all(f.storage_path.startswith("wandb_artifacts/") for f in artifact.files())
    listed = artifact.files(names=["a/one.bin"])
    one = next(iter(listed))
    seen["a file"] = [one.name, one.size, one.digest == artifact.manifest.entries["a/one.bin"].digest,
                      one.mimetype is not None]
    seen["path"] = listed.path
    direct = requests.get(one.direct_url)
    seen["direct"] = [direct.status_code, direct.content == bytes(range(256)), one.url.startswith("http")]
    seen["range"] = [(r.status_code, r.content) == (206, bytes(range(10, 20))) for r in
                     [requests.get(one.direct_url, headers={"Range": "bytes=10-19"})]]
with part():
    birth = api.artifact(f"{path}/shared:latest").manifest.entries["copy"].birth_artifact_id
    seen["deduplicated"] = birth == api.artifact(f"{path}/tree:latest").id
with part():
    first = api.artifact(f"{path}/tree:latest").files(per_page=2)
    page = [next(first).name, next(first).name]
    rest = api.artifact(f"{path}/tree:latest").files(per_page=3, start=first.cursor)
    seen["files resumed"] = sorted(page + [f.name for f in rest])
with part():
    cached = api.artifact(f"{path}/cached:latest")
    cached.download(root="down/c1")
    places = [p for p in OBJECTS.rglob("*") if p.is_file() and p.read_bytes() == b"right"]
    seen["places in the cache"] = [len(places), places[0].relative_to(OBJECTS).parts[0]]
    places[0].chmod(0o644)
    places[0].write_text("wrong")
    seen["from the cache"] = tree(cached.download(root="down/c2"))
    places[0].write_text("longer than right")
    seen["wrong size in the cache"] = tree(cached.download(root="down/c3"))
with part():
    import wandb.sdk.artifacts.storage_policies._multipart as multipart
    multipart.MULTI_DEFAULT_PART_SIZE = 1 << 19
    shutil.rmtree(OBJECTS)  # what was uploaded is in the cache
    requests.put(GIVEN["base_url"] + "/_test/knobs", json={"faults": [
        {"match": "blob", "skip": 1, "count": 1, "kind": "expire"}]}).raise_for_status()
    api.artifact(f"{path}/parts:latest").download(root="down/parts", multipart=True)
    requests.put(GIVEN["base_url"] + "/_test/knobs", json={}).raise_for_status()
    seen["parts"] = pathlib.Path("down/parts/big").read_bytes() == bytes(range(256)) * 8192
    seen["refreshed"] = requests.get(GIVEN["base_url"] + "/_test/requests").json()["by_operation"].get(
        "ArtifactMembershipFiles", 0) > 0
with part():
    Page.tag = "one"
    artifact = api.artifact(f"{path}/references:latest")
    entries = artifact.manifest.entries
    seen["schemes"] = {name: [e.ref.split(":")[0], bool(e.digest)] for name, e in entries.items()}
    seen["tagged"] = [entries["tagged"].digest, entries["tagged"].size, entries["plain"].digest == f"{site}/plain"]
    seen["unchecked"] = entries["s3"].digest == "s3://bucket/key" == entries["s3"].ref
    seen["listed references"] = sorted(f.name for f in artifact.files()) == sorted(entries)
    seen["reference downloads"] = [
        pathlib.Path(artifact.get_entry(name).download(root="down/refs")).read_text()
        for name in ("tagged", "plain", "local/x", "local/sub/y", "other artifact")]
    shutil.rmtree(OBJECTS)
    Page.tag = "three"
    seen["changed reference"] = refusal(lambda: artifact.get_entry("tagged").download(root="down/refs2"))
    (other / "x").write_text("x?")
    seen["changed file"] = refusal(lambda: artifact.get_entry("local/x").download(root="down/refs3"))
    seen["tracked download"] = refusal(lambda: artifact.get_entry("tracked").download(root="down/refs4"))
with part():
    if OLD:
        raise NotImplementedError("it would write outside of the download's root")
    seen["unsafe"] = {name: refusal(lambda: api.artifact(f"{path}/{name}:latest").download(root=f"down/{name}"))
                      for name in ("up", "absolute", "drive", "backslashes", "share")}
    seen["escaped"] = pathlib.Path("down/escaped").exists() or pathlib.Path("/escaped").exists()
with part():
    broken = api.artifact(f"{path}/dangling:latest")
    seen["missing at download"] = refusal(lambda: broken.download(root="down/dangling1"))
    seen["missing allowed"] = tree(broken.download(root="down/dangling2", allow_missing_references=True))
with part():
    pathlib.Path("down/conflict").mkdir(parents=True)
    pathlib.Path("down/conflict/a").write_text("a file where the version has a directory")
    seen["conflict"] = sorted(tree(api.artifact(f"{path}/tree:latest").download(root="down/conflict")))
with part():
    seen["by hand"] = [tree(api.artifact(f"{path}/hand{layout}:latest").download(root=f"down/{layout}"))
                       for layout in ("V1", "V2")]
with part():
    wanted = api.artifact(f"{path}/tree:latest")
    if OLD:
        raise NotImplementedError("no core beside the Python service")
    wanted._download_using_core(root="down/core")
    seen["by core"] = tree("down/core") == tree("tree") | {"again.txt": "top"}
# Last, because the SDK keeps a skipped cache skipped until the process ends, with one destination for all.
with part():
    seen["skipping the cache"] = tree(api.artifact(f"{path}/cached:latest").download(root="down/c4", skip_cache=True))
web.shutdown()
done()
