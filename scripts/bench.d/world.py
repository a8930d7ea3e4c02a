"""What is measured: the data, the servers that hold it, and guards around every candidate.

Everything is started by pid, ended by pid and unmounted, whatever a job does.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(REPOSITORY / "tests" / "sdk"))

import harness  # noqa: E402  the guards of the tests: Home, Server, Mount
import requests  # noqa: E402

SMALL_DIRECTORIES = 100
SMALL_BYTES = 4096
MANY = 100_000
PROJECT = "bench"
TENSORS = 16

# Names of links: latency before an answer in ms, and bytes a second of the whole server.
LINKS = {
    "0": (0, None),
    "5": (5, None),
    "20": (20, None),
    "50": (50, None),
    "1gbit": (1, 125_000_000),
}


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
    """The bytes that every candidate has to give, below one directory of the local disk."""

    def __init__(self, root: pathlib.Path, large_mib: int, small: int):
        self.root, self.large_mib, self.small_count = root, large_mib, small
        self.large = root / "large"
        self.small = root / "small"
        self.many = root / "many"
        self.big = self.large / "big.bin"

    def make(self) -> None:
        """Writes what is not there yet; the same bytes every time."""
        done = self.root / "done"
        if done.exists():
            return
        shutil.rmtree(self.root, ignore_errors=True)
        self.large.mkdir(parents=True)
        rng = random.Random(6)
        with open(self.big, "wb") as file:
            for _ in range(self.large_mib):
                file.write(rng.randbytes(1 << 20))
        tensor = max(1, self.large_mib // 64) << 20
        write_safetensors(self.large / "model.safetensors", rng, tensor)
        for n in range(self.small_count):
            path = self.small / f"d{n % SMALL_DIRECTORIES:02}" / f"f{n:05}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.randbytes(SMALL_BYTES))
        for n in range(MANY):
            path = self.many / f"dir-{n // 1000:04}" / f"file-{n:07}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"file {n % 1000}\nof 1000 contents\n")
        os.sync()
        done.touch()

    def files(self, tree: str) -> list[str]:
        root = self.root / tree
        return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


class Bench:
    """The embedded server with the originals in it, and everything a job starts."""

    def __init__(self, state: pathlib.Path, large_mib: int, small: int):
        self.state = state / f"{large_mib}-{small}"
        self.originals = Originals(self.state / "originals", large_mib, small)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=self._made(state)))
        self.stack = contextlib.ExitStack()
        self.link = "0"

    @staticmethod
    def _made(path: pathlib.Path) -> pathlib.Path:
        path.mkdir(parents=True, exist_ok=True)
        return path

    def __enter__(self) -> "Bench":
        self.stack.callback(shutil.rmtree, self.scratch, ignore_errors=True)
        with self.stack as stack:
            say("the originals")
            self.originals.make()
            data = self._made(self.state / "server")
            say("the embedded server")
            self.server = stack.enter_context(
                harness.Server(data, "--seed", f"files={MANY}"))
            logged = self.state / "logged"
            if not logged.exists():
                say("the originals into the server")
                for name in ("large", "small"):
                    self._log(name, self.originals.root / name)
                logged.touch()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.stack.close()

    def fresh(self, name: str) -> pathlib.Path:
        return pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))

    # -- putting the originals in, by the hundred --

    def _log(self, name: str, root: pathlib.Path) -> None:
        server = self.server
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
            self._log_some(artifact, manifest_id, root, paths[start:start + 500], digests, entries)
        text = json.dumps({
            "version": 1, "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": {"storageLayout": "V2"}, "contents": entries}).encode()
        manifest["digest"] = md5(text)
        made = server.graphql(create, i=manifest)["createArtifactManifest"]["artifactManifest"]
        server._upload(made["file"], text)
        server.graphql(
            "mutation($i: CommitArtifactInput!) { commitArtifact(input: $i) { artifact { id } } }",
            i=dict(artifactID=artifact))

    def _log_some(self, artifact, manifest, root, paths, digests, entries) -> None:
        made = self.server.graphql(
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

    # -- the candidates --

    @contextlib.contextmanager
    def over(self, link: str):
        """Everything in the block goes over this link."""
        latency, rate = LINKS[link]
        knobs = {"latency_ms": latency} | ({"bytes_per_s": rate} if rate else {})
        self.link = link
        try:
            with self.server.knobs(**knobs):
                yield
        finally:
            self.link = "0"

    def root_of(self, tree: str) -> str:
        project, name = ("scale", "files") if tree == "many" else (PROJECT, tree)
        return f"{self.server.entity}/{project}/{name}:latest"

    def home(self) -> harness.Home:
        return harness.Home(self.fresh("home"))

    @contextlib.contextmanager
    def mount(self, tree: str, home: harness.Home, *flags: str):
        """A mount of the files of one artifact. Yields it; its `path` holds the files."""
        mount = harness.Mount(self.server, home, "--root", self.root_of(tree), *flags)
        try:
            yield mount
        finally:
            mount.unmount()

    def sdk_download(self, tree: str, home: harness.Home, root: pathlib.Path) -> float:
        """Seconds of `artifact.download()` alone: neither the import nor the look-up."""
        return harness.sdk(
            """
            import time
            artifact = wandb.Api().artifact(name)
            begin = time.perf_counter()
            artifact.download(root=root)
            result = time.perf_counter() - begin
            """,
            home=home, server=self.server, timeout=1800, name=self.root_of(tree), root=str(root))

    def urls(self, tree: str, names: list[str] | None = None) -> dict[str, str]:
        """Presigned URLs of the files of an artifact, by name."""
        urls, after = {}, None
        while True:
            files = self.server.graphql(
                """query($e: String!, $p: String!, $n: String!, $a: String, $names: [String!]) {
                    project(name: $p, entityName: $e) { artifact(name: $n) {
                        files(first: 1000, after: $a, names: $names) {
                            pageInfo { endCursor hasNextPage } edges { node { name directUrl } } } } } }""",
                e=self.server.entity, p=PROJECT, n=f"{tree}:latest", a=after, names=names,
            )["project"]["artifact"]["files"]
            urls |= {edge["node"]["name"]: edge["node"]["directUrl"] for edge in files["edges"]}
            if not files["pageInfo"]["hasNextPage"]:
                return urls
            after = files["pageInfo"]["endCursor"]

    def curl(self, transfers: list[tuple[str, str | None]], parallel: int) -> float:
        """Seconds in which curl brings these (URL, range) to nowhere."""
        config = self.fresh("curl") / "config"
        config.write_text("\nnext\n".join(
            f'url = "{url}"\noutput = "/dev/null"\nsilent\nfail' + (f'\nrange = "{part}"' if part else "")
            for url, part in transfers))
        begin = time.perf_counter()
        subprocess.run(["curl", "--parallel", "--parallel-immediate", "--parallel-max", str(parallel),
                        "-K", str(config)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - begin

    @staticmethod
    def curl_range(url: str, part: str) -> float:
        """Seconds of one request by curl's own clock, from its begin to the last byte."""
        done = subprocess.run(["curl", "-sf", "-o", "/dev/null", "-r", part, "-w", "%{time_total}", url],
                              check=True, capture_output=True, text=True)
        return float(done.stdout)

    @contextlib.contextmanager
    def rclone(self, tree: str, cache: str = "off"):
        """`rclone mount` of its http remote over nginx, with the latency of the link. Yields its
        process and the path of the files."""
        base = self.fresh("rclone")
        point = base / "mnt"
        point.mkdir()
        with contextlib.ExitStack() as stack:
            port = stack.enter_context(nginx(self.originals.root / tree, base))
            latency = LINKS[self.link][0]
            if latency:
                port = stack.enter_context(delayed(port, latency / 1000))
            process = subprocess.Popen(
                ["rclone", "mount", f":http,url='http://127.0.0.1:{port}/':", str(point), "--read-only",
                 "--vfs-cache-mode", cache, "--cache-dir", str(base / "cache"),
                 "--config", str(base / "none.conf")],
                stdout=subprocess.DEVNULL, stderr=open(base / "log", "w"))
            stack.callback(end, process)
            stack.callback(lambda: subprocess.run(["umount", "-l", str(point)], capture_output=True))
            harness.wait_until(lambda: harness.is_mounted(point), "rclone mounts")
            yield process, point


@contextlib.contextmanager
def nginx(root: pathlib.Path, base: pathlib.Path):
    """nginx with listings over a directory; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The workers run as whoever runs this: the originals need not be readable to others.
    user = "user root;" if os.getuid() == 0 else ""
    (base / "nginx.conf").write_text(f"""
        {user} worker_processes 2; daemon off; pid {base}/nginx.pid; error_log {base}/error.log;
        events {{ worker_connections 1024; }}
        http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
            client_body_temp_path {base}/t1; proxy_temp_path {base}/t2; fastcgi_temp_path {base}/t3;
            uwsgi_temp_path {base}/t4; scgi_temp_path {base}/t5;
            server {{ listen 127.0.0.1:{port}; root {root}; autoindex on; }} }}""")
    process = subprocess.Popen(["nginx", "-c", str(base / "nginx.conf"), "-p", str(base)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: answers(port), "nginx answers")
        yield port
    finally:
        end(process)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def delayed(port: int, seconds: float):
    """A way to `port` on which each request arrives that much later; yields its port. What the
    server sends comes at once: one round trip per request, no limit of bandwidth."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink, delay):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                if delay:
                    time.sleep(delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for pair in ((client, server, seconds), (server, client, 0)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def resident(pid: int, peak: bool) -> float:
    """MiB of memory of a process, now or at most so far."""
    key = "VmHWM" if peak else "VmRSS"
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0




def say(words: str) -> None:
    print(f"== {words}", file=sys.stderr, flush=True)
