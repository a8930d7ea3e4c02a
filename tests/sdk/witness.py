"""The official SDK, unmodified, against the embedded server: writes, lists, reads back.

The environment names server, key and directories (WANDB_BASE_URL, WANDB_API_KEY, WANDB_DIR, ...).
An http server of test content is named by the first argument.
"""

import os
import pathlib
import sys
import tempfile

import wandb

REFERENCE = sys.argv[1]
work = pathlib.Path(tempfile.mkdtemp())
tree = work / "tree"
(tree / "deep/er").mkdir(parents=True)
(tree / "a.txt").write_text("alpha")
(tree / "deep/er/b.bin").write_bytes(os.urandom(300_000))
(tree / "odd #?% name.txt").write_text("odd")


def contents(root):
    root = pathlib.Path(root)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


with wandb.init(project="witness", job_type="write") as run:
    first = wandb.Artifact("data", "dataset", description="first", metadata={"rows": 3, "n": {"x": 1}})
    first.add_file(str(tree / "a.txt"), name="single.txt")
    first.add_dir(str(tree), name="tree")
    first.add_reference(REFERENCE, name="ref.txt")
    run.log_artifact(first, aliases=["best"], tags=["good"]).wait()
    assert first.version == "v0", first.version
    entity = run.entity
    writer = run.id

with wandb.init(project="witness", job_type="again") as run:
    same = wandb.Artifact("data", "dataset")
    same.add_file(str(tree / "a.txt"), name="single.txt")
    same.add_dir(str(tree), name="tree")
    same.add_reference(REFERENCE, name="ref.txt")
    run.log_artifact(same).wait()
    assert same.version == "v0", same.version

with wandb.init(project="witness", job_type="second") as run:
    used = run.use_artifact("data:latest")
    assert used.version == "v0"
    second = wandb.Artifact("data", "dataset", metadata={"rows": 4})
    second.add_dir(str(tree), name="tree")
    with second.new_file("new.txt") as file:
        file.write("new")
    run.log_artifact(second).wait()
    assert second.version == "v1", second.version
    model = wandb.Artifact("net", "model")
    model.add_file(str(tree / "a.txt"))
    run.log_artifact(model).wait()
    reader = run.id

with wandb.init(project="witness", job_type="incremental") as run:
    third = wandb.Artifact("data", "dataset", incremental=True)
    with third.new_file("more.txt") as file:
        file.write("more")
    run.log_artifact(third).wait()
    assert third.version == "v2", third.version

api = wandb.Api()
assert "witness" in [p.name for p in api.projects(entity)]
types = {t.name: t for t in api.artifact_types(f"{entity}/witness")}
assert set(types) == {"dataset", "model"}, types
collections = list(types["dataset"].collections())
assert [c.name for c in collections] == ["data"]
assert types["dataset"].collection("data").is_sequence()
filtered = api.artifact_collections(f"{entity}/witness", "dataset")
assert len(filtered) == 1

name = f"{entity}/witness/data"
versions = api.artifacts("dataset", name, per_page=1, order="+version_index")
assert len(versions) == 3, len(versions)
assert [a.version for a in versions] == ["v0", "v1", "v2"]
assert [a.version for a in api.artifacts("dataset", name, order="-version_index")] == ["v2", "v1", "v0"]
assert [a.version for a in api.artifacts("dataset", name, tags=["good"], per_page=10)] == ["v0"]

v0 = api.artifact(f"{name}:best")
assert v0.version == "v0" and v0.description == "first" and v0.metadata == {"rows": 3, "n": {"x": 1}}
assert v0.tags == ["good"] and "best" in v0.aliases, (v0.tags, v0.aliases)
assert v0.file_count == 5, v0.file_count
root = v0.download(root=str(work / "out0"))
expected = {f"tree/{k}": v for k, v in contents(tree).items()}
expected["single.txt"] = b"alpha"
got = contents(root)
assert got.pop("ref.txt")
assert got == expected, (sorted(got), sorted(expected))
v0.verify(root)
one = v0.get_entry("tree/a.txt").download(root=str(work / "one"))
assert pathlib.Path(one).read_text() == "alpha"
assert {f.name for f in v0.files()} == set(expected) | {"ref.txt"}
assert len(v0.files(names=["single.txt"])) == 1

v2 = api.artifact(f"{name}:latest")
assert set(contents(v2.download(root=str(work / "out2")))) == {
    f"tree/{k}" for k in contents(tree)
} | {"new.txt", "more.txt"}

v0.aliases.append("chosen")
v0.description = "changed"
v0.metadata["rows"] = 5
v0.tags.append("fine")
v0.save()
again = api.artifact(f"{name}:chosen")
assert again.description == "changed" and again.metadata["rows"] == 5
assert sorted(again.tags) == ["fine", "good"], again.tags
assert v0.logged_by().id == writer
assert [r.id for r in v0.used_by()] == [reader]
run = api.run(f"{entity}/witness/{reader}")
assert [a.name for a in run.used_artifacts()] == ["data:v0"]
assert sorted(a.name for a in run.logged_artifacts()) == ["data:v1", "net:v0"]
assert not api.artifact_exists(f"{name}:nothing")
assert api.artifact_exists(f"{name}:v1")
assert not api.artifact_collection_exists(f"{entity}/witness/none", "dataset")

linked = v0.link(f"{entity}/witness/portfolio", aliases=["prod"])
assert linked.version == "v0" and linked.source_version == "v0", linked
assert "prod" in api.artifact(f"{entity}/witness/portfolio:prod").aliases
assert v0.logged_by() is not None
print("witnessed")
