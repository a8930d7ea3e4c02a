"""The SDK's command line about artifacts."""

import os
import pathlib
import subprocess
import sys

from witness import ENTITY, PROJECT, done, part, seen, tree
import wandb

path = f"{ENTITY}/{PROJECT}"
environment = {**os.environ, "WANDB_SILENT": "false"}


def wandb_cli(*arguments):
    done = subprocess.run([sys.executable, "-m", "wandb", *arguments], capture_output=True, text=True, timeout=120,
                          env=environment)
    return done.returncode, done.stdout + done.stderr


pathlib.Path("folder/sub").mkdir(parents=True)
pathlib.Path("folder/sub/f").write_text("folder")
pathlib.Path("alone").write_text("alone")
with part():
    seen["put"] = [wandb_cli("artifact", "put", *arguments) for arguments in (
        ("folder", "-n", f"{path}/folder", "-t", "dataset", "-d", "about it", "-a", "first", "-a", "latest"),
        ("alone", "-n", f"{path}/alone", "-t", "model"),
        (f"file://{pathlib.Path('alone').absolute()}", "-n", f"{path}/pointer"))]
with part():
    artifact = wandb.Api().artifact(f"{path}/folder:first")
    seen["as put"] = [artifact.type, artifact.description, sorted(artifact.aliases), sorted(artifact.manifest.entries)]
with part():
    seen["get"] = wandb_cli("artifact", "get", f"{path}/folder:first", "--root", "got")
    seen["got"] = tree("got")
    seen["get nothing"] = wandb_cli("artifact", "get", f"{path}/nothing:v0", "--root", "none")[0]
    seen["ls"] = wandb_cli("artifact", "ls", path)
    seen["ls models"] = wandb_cli("artifact", "ls", "--type", "model", path)
    objects = pathlib.Path(os.environ["WANDB_CACHE_DIR"]) / "artifacts/obj"
    seen["cache before"] = len(tree(objects))
    seen["cleanup"] = wandb_cli("artifact", "cache", "cleanup", "1B")
    seen["cache after"] = len(tree(objects))
done()
