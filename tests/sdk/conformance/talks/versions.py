"""Versions and collections: numbers, aliases, listings."""

from witness import ENTITY, PROJECT, draft, done, log, part, refusal, seen, start
import wandb

with start(id="writer") as run:
    with part():
        seen["equal"] = [log(run, "same", {"f": text}).version for text in "aabac"]
    with part():
        for text in "123":
            log(run, "moving", {"f": text}, aliases=["moving"])
    with part():
        tags = (["red"], ["red", "blue"], ["blue"], [], ["blue", "red", "green"])
        for text, given in zip("abcde", tags):
            log(run, "pages", {"f": text}, tags=given)
    with part():
        for name in ("beta", "alpha", "gamma"):
            log(run, name, {"f": name}, type="letters")
        for text in "xy":
            log(run, "kind", {"f": text}, type="first-type")
    with part():
        seen["wrong type"] = refusal(lambda: log(run, "same", {"f": "z"}, type="other"))
        seen["bad names"] = [bool(refusal(lambda: wandb.Artifact(name, "dataset")))
                             for name in ("a/b", "a b", "a:b", "", "ü", "x" * 129)]
        seen["bad types"] = [bool(refusal(lambda: log(run, "fresh", {"f": "q"}, type=kind)))
                             for kind in ("job", "wandb-history")]
    with part():
        portfolio = f"{ENTITY}/{PROJECT}/shelf"
        run.link_artifact(log(run, "pages", {"f": "c"}), portfolio, aliases=["chosen", "chosen"])
        run.link_artifact(log(run, "pages", {"f": "a"}), portfolio, aliases=["second"])

api = wandb.Api()
path = f"{ENTITY}/{PROJECT}"


def names(items):
    return [item.name for item in items]


def versions(name, kind="dataset", **options):
    return [a.version for a in api.artifacts(kind, f"{path}/{name}", **options)]


with part():
    seen["aliases"] = {a.version: sorted(a.aliases) for a in api.artifacts("dataset", f"{path}/moving")}
with part():
    seen["up"] = versions("pages", order="+version_index")
    seen["down"] = versions("pages", order="-version_index")
    seen["ones"] = versions("pages", order="+version_index", per_page=1)
    seen["twos"] = versions("pages", order="+version_index", per_page=2)
    seen["lengths"] = [len(api.artifacts("dataset", f"{path}/pages", per_page=n)) for n in (1, 2, 50)]
with part():
    seen["red"] = versions("pages", tags=["red"], order="+version_index")
    seen["red and blue"] = versions("pages", tags=["red", "blue"], order="+version_index")
    seen["no tag"] = versions("pages", tags=["none"])
with part():
    pages = api.artifacts("dataset", f"{path}/pages", order="+version_index", per_page=2)
    first = [next(pages).version, next(pages).version]
    seen["resumed"] = first + versions("pages", order="+version_index", per_page=2, start=pages.cursor)
with part():
    seen["bad order"] = refusal(lambda: versions("pages", order="+colour"))
    seen["bad sort text"] = refusal(lambda: versions("pages", order="version index"))
with part():
    seen["types"] = sorted(names(api.artifact_types(path)))
    seen["type"] = [api.artifact_type("letters", path).name, bool(api.artifact_type("letters", path).id)]
    seen["no type"] = refusal(lambda: api.artifact_type("nothing", path))
    letters = api.artifact_type("letters", path)
    seen["letters"] = sorted(names(letters.collections(per_page=1)))
    seen["count of letters"] = len(letters.collections())
    seen["of api"] = sorted(names(api.artifact_collections(path, "letters")))
with part():
    letters = api.artifact_type("letters", path)
    seen["by regex"] = sorted(names(letters.collections(filters={"name": {"$regex": "^(alpha|beta)$"}})))
    seen["by name"] = names(letters.collections(filters={"name": "beta"}))
    seen["by name order"] = [names(letters.collections(order="+name")), names(letters.collections(order="-name"))]
    seen["bad filter"] = refusal(lambda: names(letters.collections(filters={"name": {"$near": 1}})))
with part():
    shelf = api.artifact_collection("dataset", f"{path}/shelf")
    source = api.artifact_collection("dataset", f"{path}/pages")
    seen["is sequence"] = [source.is_sequence(), shelf.is_sequence()]
    seen["collection aliases"] = {"source": sorted(source.aliases), "portfolio": sorted(shelf.aliases)}
    seen["listed"] = [[a.version, a.source_version, a.is_link, a.source_name, sorted(a.aliases)]
                      for a in api.artifacts("dataset", f"{path}/shelf", order="+version_index")]
    seen["source listed"] = [a.is_link for a in source.artifacts()]
    seen["portfolio type"] = refusal(lambda: setattr(shelf, "type", "other"))
with part():
    kind = api.artifact_collection("first-type", f"{path}/kind")
    kind.name, kind.description, kind.tags, kind.type = "renamed", "about it", ["one", "two"], "second-type"
    kind.save()
    kind = api.artifact_collection("second-type", f"{path}/renamed")
    seen["saved"] = [kind.name, kind.description, sorted(kind.tags), kind.type]
    seen["types of versions"] = [a.type for a in api.artifacts("second-type", f"{path}/renamed")]
    kind.tags, kind.description = ["two"], ""
    kind.save()
    again = api.artifact_collection("second-type", f"{path}/renamed")
    seen["saved again"] = [again.description, again.tags]
    seen["gone by old name"] = api.artifact_collection_exists(f"{path}/kind", "first-type")
    again.change_type("third-type")
    seen["changed type"] = api.artifact(f"{path}/renamed:latest").type
    seen["bad collection names"] = [bool(refusal(lambda: setattr(again, "name", name)) or refusal(again.save))
                                    for name in ("a/b", "x" * 129)]
    seen["times"] = [bool(again.created_at), bool(again.id)]
with part():
    shelf = api.artifact_collection("dataset", f"{path}/shelf")
    shelf.name, shelf.description, shelf.tags = "board", "a board", ["kept"]
    shelf.save()
    board = api.artifact_collection("dataset", f"{path}/board")
    seen["saved portfolio"] = [board.name, board.description, board.tags]
with part():
    wide = api.artifact_collection("letters", f"{path}/alpha")
    wide.name = "al pha (1)"
    wide.save()
    seen["wide listed"] = "al pha (1)" in names(api.artifact_type("letters", path).collections())
    artifact = api.artifact(f"{path}/al pha (1):latest")
    seen["wide downloaded"] = sorted(p.name for p in __import__("pathlib").Path(artifact.download()).iterdir())
with part():
    seen["exists"] = [api.artifact_exists(f"{path}/{name}") for name in
                      ("same:v0", "same:latest", "same:v99", "none:v0")] + [
        api.artifact_exists(f"{ENTITY}/unknown/same:v0"),
        api.artifact_exists(f"{path}/same:v0", type="dataset"),
        api.artifact_collection_exists(f"{path}/same", "dataset"),
        api.artifact_collection_exists(f"{path}/none", "dataset"),
        api.artifact_collection_exists(f"{path}/same", "letters")]
    seen["no project"] = refusal(lambda: api.artifact(f"{ENTITY}/unknown/same:v0"))
    seen["no artifact"] = refusal(lambda: api.artifact(f"{path}/none:v0"))
    seen["of another type"] = refusal(lambda: api.artifact(f"{path}/same:v0", type="letters"))
with part():
    seen["artifact_versions"] = [a.version for a in api.artifact_versions("dataset", f"{path}/pages")]
with part():
    one = api.artifact(f"{path}/moving:moving")
    digest = one.digest
    seen["names of one"] = [api.artifact(f"{path}/moving:{x}").version
                            for x in ("v2", "latest", "moving", digest, one.commit_hash)]
    seen["bare name"] = api.artifact(f"{path}/moving").version
with part():
    all_of = list(api.project(PROJECT, ENTITY).collections(per_page=2))
    seen["whole project"] = {c.name for c in all_of} >= {"same", "moving", "pages", "beta", "board"}
with part():
    seen["projects"] = PROJECT in names(api.projects(ENTITY))
    seen["project"] = bool(api.project(PROJECT, ENTITY).id)
    seen["viewer"] = api.viewer.username
done()
