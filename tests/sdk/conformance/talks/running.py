"""Runs, drafts, incremental and distributed artifacts, digests, offline runs."""

import os
import subprocess
import sys

from witness import ENTITY, OLD, PROJECT, done, draft, log, part, refusal, seen, start, tree
import wandb

path = f"{ENTITY}/{PROJECT}"


def contents(api, name):
    return tree(api.artifact(f"{path}/{name}").download(root=f"down/{name}"))


with start(id="producer") as run:
    log(run, "data", {"keep": "k", "drop": "d", "dir/same": "s"})
    log(run, "distant", {"f": "x"})
    with part():
        plus = draft("data", {"more": "m", "keep": "changed"}, incremental=True)
        run.log_artifact(plus).wait()
        seen["incremental"] = plus.version
    with part():
        for n in range(3):
            run.upsert_artifact(draft("spread", {f"part{n}": str(n)}), distributed_id="job-7")
        last = draft("spread", {"part3": "3"})
        run.finish_artifact(last, distributed_id="job-7").wait()
        seen["finished"] = last.version
    with part():
        one = draft("one", {"inner/f": "client"})
        two = draft("two", {"own": "o"})
        two.add_reference(f"wandb-client-artifact://{one._client_id}/inner/f", name="borrowed")
        run.log_artifact(one)
        run.log_artifact(two).wait()
        one.wait()
    with part():
        os.makedirs("model", exist_ok=True)
        open("model/weights", "w").write("w")
        run.log_model("model", name="net", aliases=["best"])
        run.link_model("model", registered_model_name="registered", name="net")
    with part():
        os.environ["_WANDB_USE_V1_ARTIFACTS"] = "1"
        old = draft("layout1", {"f": "v1 layout"})
        run.log_artifact(old).wait()
        del os.environ["_WANDB_USE_V1_ARTIFACTS"]
    with part():
        seen["region"] = refusal(lambda: log(run, "region", {"f": "x"}, storage_region="nowhere"))
    with part():
        log(run, "region", {"f": "x"}, storage_region="default")

with start(project=f"{PROJECT}-2", id="consumer") as run:
    run.use_artifact(f"{path}/data:v0").wait()
    run.use_artifact(f"{path}/distant:latest", use_as="input")
    log(run, "derived", {"f": "y"})
    with part():
        unlogged = draft("input-only", {"f": "z"})
        run.use_artifact(unlogged)
    with part():
        seen["model used"] = os.path.basename(run.use_model(f"{path}/net:best"))

api = wandb.Api()
with part():
    seen["incremental tree"] = contents(api, "data:v1")
with part():
    seen["spread"] = [contents(api, "spread:v0"), len(list(api.artifacts("dataset", f"{path}/spread")))]
with part():
    two = api.artifact(f"{path}/two:latest")
    seen["borrowed"] = [two.manifest.entries["borrowed"].ref.split(":")[0], contents(api, "two:latest")]
with part():
    source = api.artifact(f"{path}/data:v0")
    with start(id="drafter") as run:
        work = source.new_draft()
        work.remove("drop")
        with work.new_file("added") as file:
            file.write("a")
        run.log_artifact(work).wait()
    seen["draft"] = [work.version, contents(api, work.version and f"data:{work.version}")]
with part():
    data = api.artifact(f"{path}/data:v0")
    seen["logged by"] = data.logged_by().id
    seen["used by"] = [r.id for r in data.used_by()]
    seen["not used"] = [r.id for r in api.artifact(f"{path}/spread:v0").used_by()]
    seen["logged"] = sorted(a.name for a in api.run(f"{path}/producer").logged_artifacts(per_page=2)
                            if a.type == "dataset")
    used = list(api.run(f"{ENTITY}/{PROJECT}-2/consumer").used_artifacts(per_page=1))
    seen["used"] = sorted([a.name, a.project] for a in used)
    seen["counts"] = [len(api.run(f"{ENTITY}/{PROJECT}-2/consumer").used_artifacts()),
                      len(api.run(f"{ENTITY}/{PROJECT}-2/consumer").logged_artifacts())]
with part():
    past = api.run(f"{path}/drafter")
    past.use_artifact(api.artifact(f"{path}/distant:v0"))
    seen["used afterwards"] = [a.name for a in api.run(f"{path}/drafter").used_artifacts()]
    past.log_artifact(api.artifact(f"{path}/distant:v0"))
    seen["logged afterwards"] = "distant:v0" in [a.name for a in api.run(f"{path}/drafter").logged_artifacts()]
with part():
    seen["registered"] = [api.artifact(f"{ENTITY}/model-registry/registered:latest").source_name] \
        if api.artifact_exists(f"{ENTITY}/model-registry/registered:latest") else \
        [api.artifact(f"{path}/registered:latest").source_name]
with part():
    seen["layouts"] = {name: api.artifact(f"{path}/{name}").manifest.to_manifest_json()["storagePolicyConfig"]
                       .get("storageLayout") for name in ("layout1:v0", "data:v0")}
    seen["layout1"] = contents(api, "layout1:v0")
    seen["region kept"] = api.artifact(f"{path}/region:latest").manifest.to_manifest_json()[
        "storagePolicyConfig"].get("storageRegion")
with part():
    with start(id="xxh") as run:
        fast = log(run, "fast", {"a.txt": "hello"}, digest_algorithm="XXH128")
        log(run, "fast", {"a.txt": "more"}, digest_algorithm="XXH128")
        plain = log(run, "plain", {"a.txt": "hello"})
        plain = log(run, "plain", {"a.txt": "more"}, digest_algorithm="XXH128")
    fast = api.artifact(f"{path}/fast:v0")
    seen["xxh128"] = [fast.digest, str(fast.digest_algorithm).split(".")[-1], contents(api, "fast:v0"),
                      fast.manifest.entries["a.txt"].extra]
    seen["md5 stays"] = str(api.artifact(f"{path}/plain:v1").digest_algorithm).split(".")[-1]
    fast.verify("down/fast:v0")
with part():
    seen["md5"] = [log_digest for log_digest in [draft("x", {"a.txt": "hello"}).digest, draft("x", {}).digest]]
with part():
    with start(id="resumed") as run:
        log(run, "resumable", {"f": "1"})
    with start(id="resumed", resume="must") as run:
        log(run, "resumable", {"f": "2"})
    seen["resumed"] = sorted(a.name for a in api.run(f"{path}/resumed").logged_artifacts() if a.type == "dataset")
with part():
    with start(id="offline", mode="offline") as run:
        run.log_artifact(draft("later", {"f": "kept for later"}), aliases=["synced"])
        directory = os.path.dirname(run.dir)
    seen["not yet"] = api.artifact_exists(f"{path}/later:synced")
    synced = subprocess.run([sys.executable, "-m", "wandb", "sync", directory], capture_output=True, text=True,
                            timeout=120)
    if not api.artifact_exists(f"{path}/later:synced"):
        raise RuntimeError(synced.stdout + synced.stderr)
    seen["synced"] = contents(api, "later:synced")
    seen["synced run"] = api.artifact(f"{path}/later:synced").logged_by().id
done()
