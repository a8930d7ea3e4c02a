"""Registries of an organization."""

import os

from witness import ENTITY, GIVEN, PROJECT, done, log, part, refusal, seen, start
import wandb

ORG, TEAM, MATE = GIVEN["org"], GIVEN["team"], GIVEN["mate"]
api = wandb.Api(overrides={"entity": TEAM})

with part():
    seen["created"] = [[r.name, r.full_name, r.visibility, r.organization, r.description]
                       for r in [api.create_registry("models", "organization", organization=ORG, description="all")]]
    limited = api.create_registry("limited", "restricted", organization=ORG, artifact_types=["dataset"])
    seen["types"] = [list(limited.artifact_types), limited.allow_all_artifact_types]
    seen["twice"] = refusal(lambda: api.create_registry("models", "organization", organization=ORG))
with start(project=PROJECT, entity=TEAM, id="writer") as run:
    data = [log(run, "data", {"f": str(n)}, metadata={"n": n}, tags=["even"] if n % 2 == 0 else ["odd"])
            for n in range(3)]
    other = log(run, "other", {"f": "o"}, type="model")
    with part():
        seen["linked"] = run.link_artifact(data[0], f"{ORG}/wandb-registry-models/best", aliases=["prod"]).version
        for artifact in data[1:]:
            artifact.link(f"{ORG}/wandb-registry-models/best")
        other.link("wandb-registry-models/others")
        data[2].link(f"{ORG}/wandb-registry-limited/few")
    with part():
        seen["type refused"] = refusal(lambda: other.link(f"{ORG}/wandb-registry-limited/wrong"))
    with part():
        used = run.use_artifact(f"{ORG}/wandb-registry-models/best:prod")
        seen["used"] = [used.source_name, used.is_link]


def names(items):
    return sorted(item.name for item in items)


with part():
    seen["registries"] = names(api.registries(organization=ORG))
    seen["by name"] = names(api.registries(organization=ORG, filter={"name": "models"}))
    seen["by regex"] = names(api.registries(organization=ORG, filter={"name": {"$regex": "lim"}}))
    seen["ordered"] = [[r.name for r in api.registries(organization=ORG, order=o)] for o in ("+name", "-name")]
    seen["paged"] = names(api.registries(organization=ORG, per_page=1))
with part():
    registry = api.registry("models", organization=ORG)
    seen["collections"] = names(registry.collections(per_page=1))
    seen["all collections"] = names(api.registries(organization=ORG).collections())
    seen["collections by name"] = names(registry.collections(filter={"name": "best"}))
    seen["versions"] = sorted(a.qualified_name.split("/", 1)[1] for a in registry.versions(per_page=2))
    seen["versions by tag"] = sorted(a.source_name for a in registry.collections(filter={"name": "best"}).versions(filter={"tag": "even"}))
    seen["versions by alias"] = [a.source_name for a in api.registries(organization=ORG).collections().versions(filter={"alias": "prod"})]
    seen["versions by metadata"] = [a.source_name for a in registry.versions(filter={"metadata.n": {"$gte": 2}})]
    seen["versions of all"] = len(list(api.registries(organization=ORG).versions()))
with part():
    seen["ordered versions"] = [[a.source_name for a in registry.collections(filter={"name": "best"}).versions(order=o)]
                                for o in ("+artifact_created_at", "-linked_at")]
with part():
    link = api.artifact(f"{ORG}/wandb-registry-models/best:prod")
    seen["fetched"] = [link.source_name, link.version, sorted(link.aliases), link.source_project]
    seen["downloaded"] = open(link.download() + "/f").read()
    seen["exists"] = [api.artifact_exists(f"{ORG}/wandb-registry-models/best:v0"),
                      api.artifact_exists("wandb-registry-models/best:v0"),
                      api.artifact_exists(f"{ORG}/wandb-registry-models/none:v0")]
    link.aliases.append("gold")
    link.save()
    seen["alias in registry"] = api.artifact(f"{ORG}/wandb-registry-models/best:gold").version
    link.unlink()
    seen["unlinked"] = api.artifact_exists(f"{ORG}/wandb-registry-models/best:v0")
with part():
    def save_as(key, change):
        artifact = wandb.Api(overrides={"entity": TEAM}, api_key=key).artifact(f"{TEAM}/{PROJECT}/data:v2")
        change(artifact.aliases)
        artifact.save()
    owner_key = os.environ["WANDB_API_KEY"]
    seen["protected for a member"] = refusal(lambda: save_as(GIVEN["mate_key"], lambda a: a.append("guarded")))
    save_as(owner_key, lambda a: a.append("guarded"))
    seen["protected for an admin"] = [a for a in api.artifact(f"{TEAM}/{PROJECT}/data:v2").aliases if a == "guarded"]
    seen["removed by a member"] = refusal(lambda: save_as(GIVEN["mate_key"], lambda a: a.remove("guarded")))
    seen["guarded stays"] = api.artifact(f"{TEAM}/{PROJECT}/data:guarded").version
with part():
    os.environ["WANDB_API_KEY"] = GIVEN["mate_key"]
    with start(project=PROJECT, entity=TEAM, id="mate", settings={"api_key": GIVEN["mate_key"]}) as run:
        seen["logged by a member"] = refusal(lambda: log(run, "data", {"f": "m"}, aliases=["guarded"]))
    os.environ["WANDB_API_KEY"] = owner_key
    seen["guarded in the end"] = api.artifact(f"{TEAM}/{PROJECT}/data:guarded").version
with part():
    registry = api.registry("models", organization=ORG)
    mate = api.user(MATE)
    registry.add_members(mate)
    registry.update_member(mate, role="viewer")
    seen["members"] = {m.user.username: m.role.name if hasattr(m.role, "name") else str(m.role)
                       for m in registry.user_members()}.get(MATE)
    registry.remove_members(mate)
    seen["members left"] = MATE in [m.user.username for m in registry.user_members()]
with part():
    registry = api.registry("models", organization=ORG)
    team = api.team(TEAM)
    registry.add_members(team)
    registry.update_member(team, role="admin")
    seen["team members"] = [m.team.name for m in registry.team_members()]
    registry.remove_members(team)
    seen["all members"] = len(registry.members()) >= 1
with part():
    registry = api.registry("limited", organization=ORG)
    registry.description, registry.name = "about", "narrow"
    registry.artifact_types.append("model")
    registry.save()
    again = api.registry("narrow", organization=ORG)
    seen["saved"] = [again.name, again.description, sorted(again.artifact_types)]
    again.delete()
    seen["deleted"] = names(api.registries(organization=ORG))
    seen["gone"] = refusal(lambda: api.registry("narrow", organization=ORG))
    seen["source kept"] = api.artifact_exists(f"{TEAM}/{PROJECT}/data:v2")
with part():
    seen["no organization"] = refusal(lambda: names(api.registries(organization="nobody-inc")))
done()
