"""Views of the mount and of `wandbfs ls` agree with what the SDK selects (SEMANTICS 1)."""

import errno
import json
import os
import urllib.parse

import pytest

from harness import Mount, sdk, wandbfs

# Two collections with tags; five versions of one, tagged so that the SDK's pages of two end early;
# two runs that read.
MAKE = """
    with wandb.init(project="views", id="maker") as run:
        for number in range(5):
            artifact = wandb.Artifact("many", type="dataset")
            with artifact.new_file("n.txt") as file:
                file.write(str(number))
            run.log_artifact(artifact, tags=["gold"] if number in (0, 4) else []).wait()
        other = wandb.Artifact("other", type="dataset")
        with other.new_file("o.txt") as file:
            file.write("o")
        run.log_artifact(other).wait()
    api = wandb.Api()
    collection = api.artifact_collection("dataset", "views/many")
    collection.tags = ["approved", "by hand"]
    collection.save()
    with wandb.init(project="views", id="reader") as run:
        run.use_artifact("many:v1")
        run.use_artifact("other:v0")
    made, reader = api.run("views/maker"), api.run("views/reader")
    newest = api.artifacts("dataset", "views/many", order="-version_index")
    named = wandb.Api().artifact_type("dataset", "views").collections(
        filters={"name": {"$regex": "^man"}})
    result = {
        "logged": sorted(a.name for a in made.logged_artifacts() if a.type == "dataset"),
        "used": sorted(a.name for a in reader.used_artifacts()),
        "newest": [a.version for a in newest],
        "named": [c.name for c in named],
        "used_by": [r.id for r in api.artifact("views/many:v1").used_by()],
        "logged_by": api.artifact("views/many:v1").logged_by().id,
    }
"""


@pytest.fixture(scope="module")
def views(module_server, module_home):
    told = sdk(MAKE, home=module_home, server=module_server)
    with Mount(module_server, module_home, "--per-page", "2") as mount:
        yield mount / module_server.entity / "views", told


def shown(path) -> list[str]:
    return sorted(os.listdir(path))


def test_a_run_shows_what_it_logged_and_used(views):
    project, told = views
    runs = project / ".runs"
    assert {"maker", "reader"} <= set(os.listdir(runs))
    assert json.loads((runs / "maker" / "run.json").read_text())["name"] == "maker"
    logged = [name for name in shown(runs / "maker" / "logged") if not name.startswith("job-")]
    assert set(told["logged"]) <= set(logged)
    assert shown(runs / "reader" / "used") == told["used"]
    used = runs / "reader" / "used" / "many:v1"
    assert os.path.realpath(used) == str(project / "dataset" / "many" / "v1")
    assert (used / "files" / "n.txt").read_text() == "1"


def test_lineage_of_a_version_names_its_runs(views):
    project, told = views
    lineage = project / "dataset" / "many" / "v1" / ".lineage"
    assert shown(lineage / "used_by") == told["used_by"]
    assert shown(lineage / "logged_by") == [told["logged_by"]]


def test_tags_find_matches_on_every_page(views):
    project, _ = views
    kind = project / "dataset"
    assert shown(kind / "many" / ".tags" / "gold") == ["v0", "v4"]
    assert shown(kind / ".tags" / "by hand") == ["many"]
    assert not os.path.exists(kind / ".tags" / "by hand" / "other")


def test_order_and_filter_are_the_servers_and_compose(views):
    project, told = views
    kind = project / "dataset"
    ordered = shown(kind / "many" / ".order" / "-version_index")
    assert [name.split("-", 1)[1] for name in ordered] == told["newest"]
    wanted = urllib.parse.quote(json.dumps({"name": {"$regex": "^man"}}), safe="")
    assert shown(kind / ".filter" / wanted) == told["named"]
    both = shown(kind / "many" / ".tags" / "gold" / ".order" / "-version_index")
    assert [name.split("-", 1)[1] for name in both] == ["v4", "v0"]
    for nonsense in ("%7B", urllib.parse.quote('{"nonsense": {"$no": 1}}', safe="")):
        with pytest.raises(OSError) as caught:
            os.listdir(kind / ".filter" / nonsense)
        assert caught.value.errno == errno.EINVAL, nonsense


def test_a_view_is_reached_by_its_path_without_a_mount_and_as_a_root(views, module_server, module_home):
    project, told = views
    env = module_home.env(module_server)
    run = f"{module_server.entity}/views/.runs/reader"

    def names(path: str) -> list[str]:
        done = wandbfs("ls", "--json", path, env=env)
        return sorted(json.loads(line)["name"] for line in done.stdout.splitlines())

    assert names(run) == ["logged", "run.json", "used"]
    assert names(f"{run}/used") == told["used"]
    assert names(f"{module_server.entity}/views/dataset/many/.tags/gold") == ["v0", "v4"]
    # A link leads to what it means.
    assert "artifact.json" in names(f"{run}/used/many:v1")
    shown_there = (project / ".runs" / "reader" / "run.json").read_text()
    assert wandbfs("cat", f"{run}/run.json", env=env).stdout == shown_there
    assert wandbfs("cat", f"{run}/used/many:v1/files/n.txt", env=env).stdout == "1"
    assert wandbfs("ls", f"{run}-not-there", env=env, check=4).stderr
    with Mount(module_server, module_home, "--root", run) as mount:
        assert shown(mount) == ["logged", "run.json", "used"]
        assert (mount / "run.json").read_text() == shown_there
        assert shown(mount / "used") == told["used"]
        assert (mount / ".wandbfs" / "version").exists()


def test_views_are_not_listed_unless_asked_for(views, module_server, module_home):
    project, _ = views
    levels = [project, project / "dataset", project / "dataset" / "many", project / "dataset" / "many" / "v0"]
    for path in levels:
        assert not [name for name in os.listdir(path) if name.startswith(".")]
    top = project.parents[1]
    with Mount(module_server, module_home, "--show-views") as showing:
        listed = [{name for name in os.listdir(showing / path.relative_to(top)) if name.startswith(".")}
                  for path in levels]
    selections = {".tags", ".order", ".filter"}
    assert listed == [{".runs"}, selections, selections, {".lineage"}]


def test_ls_selects_as_the_views_do(views, module_server, module_home):
    _, told = views
    env = module_home.env(module_server)
    path = f"{module_server.entity}/views/dataset"

    def names(*arguments: str) -> list[str]:
        done = wandbfs("ls", "--json", *arguments, env=env)
        return [json.loads(line)["name"] for line in done.stdout.splitlines()]

    newest = [name for name in names("--order=-version_index", f"{path}/many") if name[0] == "v"]
    assert newest == told["newest"]
    named = names("--filter", json.dumps({"name": {"$regex": "^man"}}), path)
    assert [name for name in named if not name.endswith(".json")] == told["named"]
    tagged = names("--tags", "gold", f"{path}/many")
    assert sorted(name for name in tagged if name[0] == "v") == ["v0", "v4"]
    refused = wandbfs("ls", "--filter", "{", path, env=env, check=None)
    assert refused.returncode != 0 and refused.stderr
