"""The world of the jobs: the embedded server with the originals in it, its links, and a guard around
everything that a job starts.

Everything is started by pid, ended by pid and unmounted, whatever a job does.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(REPOSITORY / "tests" / "sdk"))

import harness  # noqa: E402  the guards of the tests: Home, Server, Mount
import peers  # noqa: E402
from originals import MANY, PROJECT, Originals, log  # noqa: E402

# Names of links: latency before an answer in ms, and bytes a second of the whole server.
LINKS = {
    "0": (0, None),
    "5": (5, None),
    "20": (20, None),
    "50": (50, None),
    "1gbit": (1, 125_000_000),
    "1gbit20": (20, 125_000_000),
}

MIB = 1 << 20
# What the kernel keeps free by itself, and a little more.
LEFT_FREE = 256 * MIB


class Bench:
    """The embedded server with the originals in it, and everything a job starts."""

    def __init__(self, state: pathlib.Path, large_mib: int, small: int):
        self.state = state / f"{large_mib}-{small}"
        self.originals = Originals(self.state / "originals", large_mib, small)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=self._made(state)))
        self.stack = contextlib.ExitStack()
        self.link = "0"
        self.warm: dict[str, harness.Home] = {}
        self.tidied: set[pathlib.Path] = set()
        self.small_download: dict[str, float] = {}
        self.filled = 0

    @staticmethod
    def _made(path: pathlib.Path) -> pathlib.Path:
        path.mkdir(parents=True, exist_ok=True)
        return path

    def __enter__(self) -> "Bench":
        self.stack.callback(shutil.rmtree, self.scratch, ignore_errors=True)
        self.stack.callback((self.state / "holes").unlink, missing_ok=True)
        with self.stack as stack:
            say("the originals")
            self.originals.make()
            data = self._made(self.state / "server")
            say("the embedded server")
            self.server = stack.enter_context(
                harness.Server(data, "--seed", f"files={MANY}"))
            for tree in ("large", "small", "sizes"):
                logged = self.state / f"{tree}.logged"
                if not logged.exists():
                    say(f"the originals of {tree} into the server")
                    log(self.server, tree, self.originals.root / tree)
                    logged.touch()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.stack.close()

    def fresh(self, name: str) -> pathlib.Path:
        return pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))

    def warm_server(self) -> None:
        """What is served is in memory: the remote is never a disk, not for the first candidate either."""
        subprocess.run(["find", str(self.state / "server" / "blobs"), "-type", "f", "-exec", "cat", "{}", "+"],
                       stdout=subprocess.DEVNULL, check=False)

    def fill_memory(self) -> None:
        """Uses up free memory for the page cache, as on a machine that has run for a while, so that
        every candidate's pages are ones that another file had before. The host of a virtual machine
        may take back what is free, and a gigabyte of that costs seconds when it is touched again.
        """
        holes = self.state / "holes"
        size = 4 * memory("MemTotal")
        with open(holes, "ab+", buffering=0) as file:
            file.truncate(size)
            file.seek(self.filled)
            for _ in range(max(0, memory("MemFree") - LEFT_FREE) // MIB):
                if not file.read(MIB):
                    file.seek(0)
            self.filled = file.tell()

    def tidy(self) -> None:
        """Gives back the space of what a job left, except the caches that later ones share.

        The files stay until the end of the run, those of 1 MiB and more empty: ext4 gives out no
        inode that was deleted in the last minutes, and looks at all of them for each new one. That
        was three quarters of the time of the next candidate which writes many files.
        """
        self.tidied |= {home.root for home in self.warm.values()}
        for path in set(self.scratch.iterdir()) - self.tidied:
            subprocess.run(["find", str(path), "-type", "f", "-size", "+1023k", "-exec", "truncate", "-s0", "{}", "+"],
                           check=True)
            self.tidied.add(path)

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
        """Of a user who has nothing in the cache."""
        return harness.Home(self.fresh("home"))

    def warm_home(self, tree: str) -> harness.Home:
        """Of a user who has the whole artifact in the cache, verified; the same one every time."""
        if tree not in self.warm:
            home, files = self.home(), len(self.originals.files(tree))
            objects = home.cache / "artifacts" / "obj"
            with self.mount(tree, home) as mount:
                subprocess.run(f"tar cf - -C '{mount.path}' . | cat > {os.devnull}", shell=True, check=True)
                harness.wait_until(lambda: sum(1 for p in objects.rglob("*") if p.is_file()) >= files,
                                   f"{tree} is in the cache")
            self.warm[tree] = home
        return self.warm[tree]

    @contextlib.contextmanager
    def mount(self, tree: str, home: harness.Home, *flags: str):
        """A mount of the files of one artifact. Yields it; its `path` holds the files."""
        mount = harness.Mount(self.server, home, "--root", self.root_of(tree), *flags)
        try:
            yield mount
        finally:
            mount.unmount()

    def sdk_download(self, tree: str, home: harness.Home, root: pathlib.Path,
                     prefix: str | None = None) -> float:
        """Seconds of `artifact.download()` alone: neither the import nor the look-up."""
        return harness.sdk(
            """
            import time
            artifact = wandb.Api().artifact(name)
            begin = time.perf_counter()
            artifact.download(root=root, path_prefix=prefix)
            result = time.perf_counter() - begin
            """,
            home=home, server=self.server, timeout=1800, name=self.root_of(tree), root=str(root),
            prefix=prefix)

    def small_files_by_sdk(self, same_tree) -> float:
        """Seconds of a cold download of the small files over this link, measured once a run: it
        takes longer than all else. `same_tree` compares what came."""
        if self.link not in self.small_download:
            root = self.fresh("sdk") / "out"
            seconds = self.sdk_download("small", self.home(), root)
            same_tree(root)
            self.small_download[self.link] = seconds
        return self.small_download[self.link]

    def manifest_url(self, tree: str) -> str:
        project, name = self.root_of(tree).split("/")[1:]
        return self.server.graphql(
            """query($e: String!, $p: String!, $n: String!) { project(name: $p, entityName: $e) {
                artifact(name: $n) { currentManifest { file { directUrl } } } } }""",
            e=self.server.entity, p=project, n=name,
        )["project"]["artifact"]["currentManifest"]["file"]["directUrl"]

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
        """Seconds in which curl brings these (URL, range) to nowhere; any refusal is an error."""
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

    def rclone(self, tree: str, cache: str = "off"):
        """A context with `rclone mount` of the same files; gives their path."""
        return peers.rclone(self.originals.root / tree, self.fresh("rclone"), self._latency(), cache)

    def mount_s3(self, tree: str):
        """The same with `mount-s3`."""
        return peers.mount_s3(self.originals.root / tree, self.fresh("s3"), self._latency())

    def _latency(self) -> float:
        return LINKS[self.link][0] / 1000

    def daemon(self, how: str, file: pathlib.Path):
        """A context with the bare FUSE daemon over one file; gives its path there."""
        return peers.daemon(how, file, self.fresh("daemon"))

    def layer(self, name: str, tree: str, file: str) -> float:
        """Seconds of one layer of the read path for one file, cold; it compares the bytes itself."""
        path = f"{self.server.entity}/{PROJECT}/dataset/{tree}/latest/files/{file}"
        done = subprocess.run([peers.LAYERS, name, path, str(self.originals.root / tree / file)],
                              env=self.home().env(self.server), capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)


def counted_by_kernel(path: str, key: str) -> int:
    """Bytes of a line of a file below /proc; 0 where it has none."""
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0


def memory(key: str) -> int:
    """Bytes of memory of the machine: MemTotal, MemFree."""
    return counted_by_kernel("/proc/meminfo", key)


def resident(pid: int, peak: bool) -> float:
    """MiB of memory of a process, now or at most so far."""
    return counted_by_kernel(f"/proc/{pid}/status", "VmHWM" if peak else "VmRSS") / MIB


def say(words: str) -> None:
    print(f"== {words}", file=sys.stderr, flush=True)
