"""Guards around the real binary: a server, a mount, and the SDK in processes of its own.

Everything here is started by pid and ended by pid; a mount is never left behind, whatever a test
does. The SDK keeps state per process (settings, cache, service), so each conversation with it runs
in a fresh interpreter whose last line of output is JSON.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import requests

BINARY = os.environ.get("WANDBFS_BIN", "target/debug/wandbfs")
DEADLINE = 60  # seconds until a condition that must come true is given up


def wait_until(condition, what: str, deadline: float = DEADLINE):
    """Polls until `condition()` is truthy and returns it; fails naming `what` otherwise."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}")
        time.sleep(0.02)


def is_mounted(path) -> bool:
    """Whether the mount table has `path`; asks nothing of the file system itself."""
    escaped = str(path).replace(" ", "\\040")
    with open("/proc/self/mountinfo") as table:
        return any(line.split()[4] == escaped for line in table)


class Home:
    """A private home: no setting, key or cache of the machine leaks into a test."""

    def __init__(self, root: pathlib.Path):
        self.root = pathlib.Path(root)
        for name in ("cache", "config", "data", "work", "run"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.cache = self.root / "cache"

    def env(self, server: "Server | None" = None, api_key: str | None = None) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "NETRC"))}
        env.update(
            HOME=str(self.root),
            XDG_RUNTIME_DIR=str(self.root / "run"),
            WANDB_CACHE_DIR=str(self.cache),
            WANDB_CONFIG_DIR=str(self.root / "config"),
            WANDB_DATA_DIR=str(self.root / "data"),
            WANDB_DIR=str(self.root / "work"),
            WANDB_ARTIFACT_DIR=str(self.root / "artifacts"),
            WANDB_SILENT="true",
            WANDB_CONSOLE="off",
            WANDB_ERROR_REPORTING="false",
        )
        if server is not None:
            env["WANDB_BASE_URL"] = server.base_url
            env["WANDB_API_KEY"] = api_key or server.api_key
        return env


class Server:
    """`wandbfs serve --test-controls` on a free port, or on that of a server that died."""

    def __init__(self, data: pathlib.Path, *flags: str, listen: str = "127.0.0.1:0"):
        self.data = pathlib.Path(data)
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [BINARY, "serve", "--json", "--data", str(data), "--listen", listen,
             "--test-controls", *flags],
            stdout=subprocess.PIPE, stderr=self.log, text=True,
        )
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise AssertionError(f"the server did not start: {self.log.read().decode()}")
        ready = json.loads(line)
        assert ready["event"] == "ready", ready
        self.base_url, self.api_key, self.entity = (
            ready["base_url"], ready["api_key"], ready["entity"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, how=signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    # -- the controls of INTERFACE.md --

    def requests(self) -> dict:
        return requests.get(f"{self.base_url}/_test/requests", timeout=DEADLINE).json()

    def reset(self) -> None:
        requests.delete(f"{self.base_url}/_test/requests", timeout=DEADLINE).raise_for_status()

    @contextlib.contextmanager
    def counted(self):
        """Yields a dict that holds the counters of the block once it is over."""
        self.reset()
        seen: dict = {}
        yield seen
        seen.update(self.requests())

    @contextlib.contextmanager
    def knobs(self, **knobs):
        answer = requests.put(f"{self.base_url}/_test/knobs", json=knobs, timeout=DEADLINE)
        answer.raise_for_status()
        try:
            yield
        finally:
            requests.put(f"{self.base_url}/_test/knobs", json={}, timeout=DEADLINE).raise_for_status()

    def graphql(self, query: str, api_key: str | None = None, **variables):
        """Data of a GraphQL document; an error of it fails the test."""
        answer = requests.post(
            f"{self.base_url}/graphql", auth=("api", api_key or self.api_key), timeout=DEADLINE,
            json={"query": query, "variables": variables})
        body = answer.json()
        assert answer.status_code == 200 and not body.get("errors"), body
        return body["data"]

    def log_manifest(self, project: str, collection: str, contents: dict[str, dict | bytes],
                     artifact_type: str = "dataset", layout: str = "V2") -> str:
        """Logs a version whose manifest has exactly these keys, also those that the SDK refuses
        to write. Bytes become stored files, dicts stand in the manifest as they are. Gives the
        artifact's id."""
        self._run_of(project)
        aliases = [{"artifactCollectionName": collection, "alias": "latest"}]
        digest = hashlib.md5(repr(sorted(contents.items())).encode()).hexdigest()
        artifact = self.graphql(
            """mutation($i: CreateArtifactInput!) { createArtifact(input: $i) { artifact { id } } }""",
            i=dict(entityName=self.entity, projectName=project, runName="rawrun",
                   artifactTypeName=artifact_type, artifactCollectionName=collection,
                   digest=digest, digestAlgorithm="MANIFEST_MD5", aliases=aliases),
        )["createArtifact"]["artifact"]["id"]
        name = dict(artifactID=artifact, name="wandb_manifest.json", digest="",
                    entityName=self.entity, projectName=project, runName="rawrun", type="FULL")
        create_manifest = """mutation($i: CreateArtifactManifestInput!) { createArtifactManifest(input: $i) {
            artifactManifest { id file { uploadUrl uploadHeaders } } } }"""
        manifest_id = self.graphql(create_manifest, i=name)["createArtifactManifest"]["artifactManifest"]["id"]
        entries = {key: self._stored(artifact, manifest_id, key, value, layout)
                   if isinstance(value, bytes) else value for key, value in contents.items()}
        text = json.dumps({
            "version": 1, "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": {"storageLayout": layout} if layout == "V2" else {},
            "contents": entries}).encode()
        name["digest"] = base64.b64encode(hashlib.md5(text).digest()).decode()
        made = self.graphql(create_manifest, i=name)["createArtifactManifest"]["artifactManifest"]
        self._upload(made["file"], text)
        self.graphql("""mutation($i: CommitArtifactInput!) { commitArtifact(input: $i) { artifact { id } } }""",
                     i=dict(artifactID=artifact))
        return artifact

    def _run_of(self, project: str) -> None:
        self.graphql("""mutation($i: UpsertBucketInput!) { upsertBucket(input: $i) { bucket { id } } }""",
                     i=dict(name="rawrun", modelName=project, entityName=self.entity))

    def _stored(self, artifact: str, manifest: str, key: str, data: bytes, layout: str) -> dict:
        md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
        made = self.graphql(
            """mutation($i: CreateArtifactFilesInput!) { createArtifactFiles(input: $i) { files { edges {
                node { uploadUrl uploadHeaders artifact { id } } } } } }""",
            i=dict(storageLayout=layout, artifactFiles=[dict(
                artifactID=artifact, artifactManifestID=manifest, name=key, md5=md5)]),
        )["createArtifactFiles"]["files"]["edges"][0]["node"]
        if made["uploadUrl"]:
            self._upload(made, data)
        return {"digest": md5, "size": len(data), "birthArtifactID": made["artifact"]["id"]}

    @staticmethod
    def _upload(file: dict, data: bytes) -> None:
        headers = dict(header.split(":", 1) for header in file["uploadHeaders"])
        requests.put(file["uploadUrl"], data=data, headers=headers, timeout=DEADLINE).raise_for_status()


class Mount:
    """`wandbfs mount`, unmounted whatever happens."""

    def __init__(self, server: Server | None, home: Home, *flags: str, env: dict | None = None,
                 mountpoint: pathlib.Path | None = None):
        self.env = {**home.env(server), **(env or {})}
        self.path = mountpoint or pathlib.Path(tempfile.mkdtemp(prefix="mnt-", dir=home.root))
        done = subprocess.run([BINARY, "mount", "--json", *flags, str(self.path)], env=self.env,
                              capture_output=True, text=True, timeout=DEADLINE)
        self.stderr = done.stderr
        if done.returncode != 0:
            raise AssertionError(f"mount ended with {done.returncode}: {done.stderr}")
        self.ready = json.loads(done.stdout.splitlines()[-1])
        self.pid = self.ready["pid"]

    def __enter__(self) -> pathlib.Path:
        return self.path

    def __exit__(self, *_):
        self.unmount()

    def unmount(self) -> None:
        subprocess.run([BINARY, "unmount", str(self.path)], env=self.env, capture_output=True,
                       timeout=DEADLINE)
        if is_mounted(self.path):
            subprocess.run(["umount", "-l", str(self.path)], capture_output=True, timeout=DEADLINE)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            raise AssertionError("the mount did not go by itself")


def wandbfs(*arguments: str, env: dict, check: int | None = 0) -> subprocess.CompletedProcess:
    """Runs one command of the binary and checks its exit code."""
    done = subprocess.run([BINARY, *arguments], env=env, capture_output=True, text=True, timeout=DEADLINE)
    if check is not None:
        assert done.returncode == check, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done


def sdk(code: str, *, home: Home, server: Server, api_key: str | None = None, timeout: int = 300,
        **variables):
    """Runs `code` with the unmodified SDK in a fresh interpreter; `result` is its answer. Keyword
    arguments are variables of the code."""
    program = "\n".join([
        "import json, os, pathlib, sys, wandb",
        "globals().update(json.loads(sys.argv[1]))",
        "result = None",
        textwrap.dedent(code),
        "sys.stdout.write('\\n' + json.dumps(result, default=str))",
    ])
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(variables, default=str)],
        env=home.env(server, api_key), cwd=home.root / "work", capture_output=True, text=True,
        timeout=timeout)
    assert done.returncode == 0, f"the SDK's script failed:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return json.loads(done.stdout.splitlines()[-1])
