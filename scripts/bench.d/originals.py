"""The bytes that every candidate has to give, and how they get into the server."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct

import requests

SMALL_DIRECTORIES = 100
SMALL_BYTES = 4096
MANY = 100_000
PROJECT = "bench"
TENSORS = 16
# Where passthrough begins to be worth its registration.
SIZES_KIB = (64, 128, 256, 512, 1024, 2048, 4096)


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def file_md5(path: pathlib.Path) -> str:
    with open(path, "rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()


def write_safetensors(path: pathlib.Path, rng: random.Random, tensor_bytes: int) -> None:
    """A file of the format with random tensors of one size, a tensor in memory at a time."""
    header = {
        f"layer.{n}": {"dtype": "U8", "shape": [tensor_bytes],
                       "data_offsets": [n * tensor_bytes, (n + 1) * tensor_bytes]}
        for n in range(TENSORS)
    }
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _ in range(TENSORS):
            file.write(rng.randbytes(tensor_bytes))


class Originals:
    """Four trees below one directory of the local disk: `large` files, many `small` ones, `sizes`
    around the crossover of passthrough, and `many` tiny ones, which the server seeds by itself."""

    def __init__(self, root: pathlib.Path, large_mib: int, small: int):
        self.root, self.large_mib, self.small_count = root, large_mib, small
        self.large, self.small = root / "large", root / "small"
        self.many, self.sizes = root / "many", root / "sizes"
        self.big = self.large / "big.bin"

    def make(self) -> None:
        """Writes what is not there yet; the same bytes every time."""
        for tree, write in (("large", self._large), ("small", self._small),
                            ("many", self._many), ("sizes", self._sizes)):
            done = self.root / f"{tree}.done"
            if not done.exists():
                shutil.rmtree(self.root / tree, ignore_errors=True)
                (self.root / tree).mkdir(parents=True)
                write(random.Random(tree))
                os.sync()
                done.touch()

    def _large(self, rng: random.Random) -> None:
        with open(self.big, "wb") as file:
            for _ in range(self.large_mib):
                file.write(rng.randbytes(1 << 20))
        write_safetensors(self.large / "model.safetensors", rng, max(1, self.large_mib // 64) << 20)

    def _small(self, rng: random.Random) -> None:
        for n in range(self.small_count):
            path = self.small / f"d{n % SMALL_DIRECTORIES:02}" / f"f{n:05}.bin"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(rng.randbytes(SMALL_BYTES))

    def _many(self, _rng: random.Random) -> None:
        for n in range(MANY):
            path = self.many / f"dir-{n // 1000:04}" / f"file-{n:07}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"file {n % 1000}\nof 1000 contents\n")

    def _sizes(self, rng: random.Random) -> None:
        for kib in SIZES_KIB:
            (self.sizes / f"{kib}.bin").write_bytes(rng.randbytes(kib << 10))

    def files(self, tree: str) -> list[str]:
        """Names of the files of a tree, in the order of their bytes."""
        root = self.root / tree
        return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def log(server, name: str, root: pathlib.Path) -> None:
    """Makes the files below `root` a version of the artifact `name`, a few hundred at a time."""
    server._run_of(PROJECT)
    ids = dict(entityName=server.entity, projectName=PROJECT, runName="rawrun")
    paths = sorted(p for p in root.rglob("*") if p.is_file())
    digests = {p: file_md5(p) for p in paths}
    total = hashlib.md5("".join(digests.values()).encode()).hexdigest()
    artifact = server.graphql(
        "mutation($i: CreateArtifactInput!) { createArtifact(input: $i) { artifact { id } } }",
        i=dict(**ids, artifactTypeName="dataset", artifactCollectionName=name, digest=total,
               digestAlgorithm="MANIFEST_MD5",
               aliases=[{"artifactCollectionName": name, "alias": "latest"}]),
    )["createArtifact"]["artifact"]["id"]
    manifest = dict(artifactID=artifact, name="wandb_manifest.json", digest="", type="FULL", **ids)
    create = """mutation($i: CreateArtifactManifestInput!) { createArtifactManifest(input: $i) {
        artifactManifest { id file { uploadUrl uploadHeaders } } } }"""
    manifest_id = server.graphql(create, i=manifest)["createArtifactManifest"]["artifactManifest"]["id"]
    entries = {}
    for start in range(0, len(paths), 500):
        _log_some(server, artifact, manifest_id, root, paths[start:start + 500], digests, entries)
    text = json.dumps({
        "version": 1, "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"}, "contents": entries}).encode()
    manifest["digest"] = md5(text)
    made = server.graphql(create, i=manifest)["createArtifactManifest"]["artifactManifest"]
    server._upload(made["file"], text)
    server.graphql(
        "mutation($i: CommitArtifactInput!) { commitArtifact(input: $i) { artifact { id } } }",
        i=dict(artifactID=artifact))


def _log_some(server, artifact, manifest, root, paths, digests, entries) -> None:
    made = server.graphql(
        """mutation($i: CreateArtifactFilesInput!) { createArtifactFiles(input: $i) { files { edges {
            node { uploadUrl uploadHeaders artifact { id } } } } } }""",
        i=dict(storageLayout="V2", artifactFiles=[
            dict(artifactID=artifact, artifactManifestID=manifest,
                 name=str(p.relative_to(root)), md5=digests[p]) for p in paths]),
    )["createArtifactFiles"]["files"]["edges"]
    session = requests.Session()

    def put(path, node):
        if node["uploadUrl"]:
            headers = dict(h.split(":", 1) for h in node["uploadHeaders"])
            with open(path, "rb") as body:
                session.put(node["uploadUrl"], data=body, headers=headers).raise_for_status()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(put, paths, (edge["node"] for edge in made)))
    for path, edge in zip(paths, made):
        entries[str(path.relative_to(root))] = {
            "digest": digests[path], "size": path.stat().st_size,
            "birthArtifactID": edge["node"]["artifact"]["id"]}
