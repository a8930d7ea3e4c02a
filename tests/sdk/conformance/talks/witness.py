"""What the talks share: the variables of the talk, and the account of what was seen."""

import contextlib
import json
import os
import pathlib
import sys
import traceback

import wandb

GIVEN = json.loads(sys.argv[1])
PROJECT, ENTITY = GIVEN["project"], GIVEN["entity"]
OLD = wandb.__version__.startswith("0.19")
if OLD:
    wandb.require("legacy-service")  # its uploads from Python instead of from core

seen: dict = {}


@contextlib.contextmanager
def part():
    """A piece of the talk that the others do not depend on; its failure is told, not raised."""
    try:
        yield
    except Exception:
        seen.setdefault("broken", []).append(traceback.format_exc())


def refusal(act) -> str:
    """The error that `act` raises, as text; empty if it raises none."""
    try:
        act()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def draft(name: str, files: dict, type: str = "dataset", **options) -> "wandb.Artifact":
    artifact = wandb.Artifact(name, type, **options)
    for path, text in files.items():
        with artifact.new_file(path, mode="wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
    return artifact


def log(run, name: str, files: dict, type: str = "dataset", aliases=None, tags=None, **options):
    """Logs and waits; the artifact knows its version then."""
    return run.log_artifact(draft(name, files, type, **options), aliases=aliases, tags=tags).wait()


def start(project: str = PROJECT, **options):
    return wandb.init(project=project, **options)


def tree(root) -> dict:
    """Relative path to text of the files below `root`."""
    root = pathlib.Path(root)
    return {str(p.relative_to(root)): p.read_bytes().decode("latin-1")
            for p in sorted(root.rglob("*")) if p.is_file()}


def done():
    sys.stdout.write("\n" + json.dumps(seen, default=str) + "\n")
    sys.stdout.flush()
