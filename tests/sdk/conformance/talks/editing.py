"""Edits of versions, links, deletions."""

import datetime

from witness import ENTITY, PROJECT, done, log, part, refusal, seen, start
import wandb

path = f"{ENTITY}/{PROJECT}"
with start(id="writer") as run:
    log(run, "edit", {"f": "0"}, description="first", metadata={"a": {"b": [1, None]}}, aliases=["born"])
    log(run, "edit", {"f": "1"})
    for n in range(4):
        log(run, "doomed", {"f": str(n)}, aliases=["kept"] if n == 1 else None)
    log(run, "whole", {"f": "x"})
    source = log(run, "source", {"f": "s"})
    log(run, "source", {"f": "t"})
    with part():
        short = wandb.Artifact("ttl", "dataset")
        short.ttl = datetime.timedelta(days=2)
        with short.new_file("f") as file:
            file.write("x")
        run.log_artifact(short).wait()
        seen["ttl logged"] = short.ttl.total_seconds()

api = wandb.Api()
with part():
    artifact = api.artifact(f"{path}/edit:v0")
    seen["as logged"] = [artifact.description, artifact.metadata, sorted(artifact.aliases), artifact.state]
    artifact.description, artifact.metadata = "second", {"c": 1}
    artifact.tags = ["one", "two", "one"]
    artifact.aliases.append("prod")
    artifact.save()
    artifact = api.artifact(f"{path}/edit:prod")
    seen["edited"] = [artifact.version, artifact.description, artifact.metadata, sorted(artifact.tags),
                      sorted(artifact.aliases)]
    artifact.tags.remove("one")
    artifact.aliases.remove("prod")
    artifact.description = ""
    artifact.metadata = {**artifact.metadata, "d": float("nan")}
    artifact.save()
    artifact = api.artifact(f"{path}/edit:v0")
    seen["edited again"] = [artifact.description, artifact.metadata, artifact.tags, sorted(artifact.aliases)]
    seen["prod gone"] = api.artifact_exists(f"{path}/edit:prod")
    newer = api.artifact(f"{path}/edit:v1")
    newer.aliases.append("born")
    newer.save()
    seen["moved"] = [sorted(api.artifact(f"{path}/edit:{v}").aliases) for v in ("v0", "v1")]
    seen["bad aliases"] = [bool(refusal(lambda: setattr(newer, "aliases", [name]) or newer.save()))
                           for name in ("a/b", "a:b")]
    newer = api.artifact(f"{path}/edit:v1")
    seen["bad tags"] = [bool(refusal(lambda: setattr(newer, "tags", [name]))) for name in ("a/b", "", "x,y")]
    seen["bad metadata"] = bool(refusal(lambda: setattr(newer, "metadata", {str(n): n for n in range(101)})))
    seen["times"] = [artifact.created_at <= artifact.updated_at, len(artifact.commit_hash) > 8]
with part():
    artifact = api.artifact(f"{path}/edit:v1")
    seen["ttl none"] = artifact.ttl
    artifact.ttl = datetime.timedelta(hours=3)
    artifact.save()
    artifact = api.artifact(f"{path}/edit:v1")
    seen["ttl set"] = artifact.ttl.total_seconds()
    artifact.ttl = None
    artifact.save()
    seen["ttl off"] = api.artifact(f"{path}/edit:v1").ttl
    artifact.ttl = wandb.ArtifactTTL.INHERIT
    artifact.save()
    seen["ttl inherited"] = api.artifact(f"{path}/edit:v1").ttl
    seen["bad ttl"] = bool(refusal(lambda: setattr(artifact, "ttl", datetime.timedelta(seconds=-1))))

with part():
    seen["delete refused"] = refusal(lambda: api.artifact(f"{path}/doomed:v1").delete())
    seen["still there"] = api.artifact_exists(f"{path}/doomed:v1")
    api.artifact(f"{path}/doomed:v1").delete(delete_aliases=True)
    seen["deleted"] = [api.artifact_exists(f"{path}/doomed:{v}") for v in ("v1", "kept")]
    api.artifact(f"{path}/doomed:v0").delete()
    seen["left"] = sorted(a.version for a in api.artifacts("dataset", f"{path}/doomed"))
    api.artifact(f"{path}/doomed:v3").delete(delete_aliases=True)
    with start() as run:
        seen["next number"] = log(run, "doomed", {"f": "new"}).version
with part():
    api.artifact_collection("dataset", f"{path}/whole").delete()
    seen["sequence deleted"] = [
        "whole" in [c.name for c in api.artifact_type("dataset", path).collections()],
        api.artifact_exists(f"{path}/whole:v0"), api.artifact_collection_exists(f"{path}/whole", "dataset")]

with part():
    v0, v1 = (api.artifact(f"{path}/source:{v}") for v in ("v0", "v1"))
    first = v0.link(f"{path}/shelf", aliases=["prod"])
    second = v1.link(f"{path}/shelf", aliases=["beta"])
    elsewhere = v0.link(f"{ENTITY}/{PROJECT}-other/shelf") if not wandb.__version__.startswith("0.19") else None
    links = {a.version: a for a in api.artifacts("dataset", f"{path}/shelf")}
    seen["linked"] = {v: [a.source_version, sorted(a.aliases), a.is_link, a.source_name]
                      for v, a in links.items()}
    link = api.artifact(f"{path}/shelf:prod")
    seen["link"] = [link.name, link.version, link.source_qualified_name == v0.qualified_name,
                    link.is_link, v0.is_link]
    seen["link downloaded"] = open(link.download() + "/f").read()
    seen["drafted from link"] = link.new_draft().name
    link.aliases.append("extra")
    link.description = "by the link"
    link.save()
    seen["aliases of link"] = [sorted(api.artifact(f"{path}/shelf:extra").aliases),
                               sorted(api.artifact(f"{path}/source:v0").aliases)]
    seen["description by link"] = api.artifact(f"{path}/source:v0").description
with part():
    link = api.artifact(f"{path}/shelf:prod")
    seen["linked at"] = bool(link.linked_at)
    seen["source artifact"] = link.source_artifact.qualified_name == f"{path}/source:v0"
    v0 = api.artifact(f"{path}/source:v0")
    seen["links"] = sorted(a.qualified_name for a in v0.linked_artifacts)
    seen["relinked"] = link.link(f"{path}/shelf").version
with part():
    seen["unlink a source"] = refusal(lambda: api.artifact(f"{path}/source:v0").unlink())
    api.artifact(f"{path}/shelf:v0").unlink()
    seen["after unlink"] = [api.artifact_exists(f"{path}/shelf:v0"), api.artifact_exists(f"{path}/source:v0"),
                            sorted(a.version for a in api.artifacts("dataset", f"{path}/shelf"))]
with part():
    seen["links after unlink"] = sorted(a.qualified_name for a in api.artifact(f"{path}/source:v0").linked_artifacts)
with part():
    api.artifact(f"{path}/shelf:v1").delete(delete_aliases=True)
    seen["after delete of a link"] = [api.artifact_exists(f"{path}/shelf:v1"), api.artifact_exists(f"{path}/source:v1")]
with part():
    api.artifact(f"{path}/source:v1").link(f"{path}/rack")
    api.artifact_collection("dataset", f"{path}/rack").delete()
    seen["portfolio deleted"] = [api.artifact_collection_exists(f"{path}/rack", "dataset"),
                                 api.artifact_exists(f"{path}/source:v1")]
done()
