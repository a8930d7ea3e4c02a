"""A file that core uploads in parts, which it does from 2 GiB on."""

import os

from witness import ENTITY, PROJECT, done, part, seen, start
import wandb

SIZE = (2 << 30) + 12345
with open("huge", "wb") as file:  # sparse, with marks at the ends of parts
    for position in (0, 100 << 20, SIZE - 5):
        file.seek(position)
        file.write(b"marks")
with part():
    with start() as run:
        artifact = wandb.Artifact("huge", "dataset")
        artifact.add_file("huge", policy="immutable", skip_cache=True)
        run.log_artifact(artifact).wait()
    artifact = wandb.Api().artifact(f"{ENTITY}/{PROJECT}/huge:v0")
    seen["size"] = artifact.size == SIZE
    artifact.download(root="down", skip_cache=True)
    seen["verified"] = artifact.verify("down") is None and os.path.getsize("down/huge") == SIZE
done()
