"""The jobs. Each measures all its candidates once a round, so that the rounds interleave them."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

from report import Target
from world import HERE, Bench, harness, resident

MIB = 1 << 20
TRAIN = ("--profile", "train", "--read-only")
JOBS: dict[str, tuple] = {}


def job(name: str, links=("0",), asked_for: bool = False):
    """Registers a measurement under a name, with the links that it is made over. What takes long
    may be `asked_for`: it is left out unless it is named."""

    def register(measure):
        JOBS[name] = (measure, links, asked_for)
        return measure

    return register


class Round:
    """One round of one job: where its values go, and which candidates take part."""

    def __init__(self, bench: Bench, results, name: str, link: str, number: int, quick: bool):
        self.bench, self.results, self.name, self.link = bench, results, name, link
        self.number, self.quick = number, quick

    def add(self, candidate: str, unit: str, value: float) -> None:
        self.results.add(self.name, self.link, candidate, unit, value)
        print(f"   {self.name} over {self.link}: {candidate} {value:.4g} {unit}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def candidate(self, name: str):
        """A candidate that fails is reported as failed and does not keep the others."""
        try:
            yield
        except Exception as why:  # noqa: BLE001  whatever a candidate dies of
            words = str(why).strip().splitlines() or [type(why).__name__]
            self.results.failed(self.name, self.link, name, words[-1][:200])
            print(f"   {self.name} over {self.link}: {name} FAILED: {why}", file=sys.stderr, flush=True)

    def peers(self, slow: bool = False) -> bool:
        """Whether a peer takes part: the slow ones only in the first round."""
        return not slow or self.number == 0


def read(operation: str, **arguments):
    """One operation of reader.py in a process of its own."""
    done = subprocess.run([sys.executable, str(HERE / "reader.py"), operation, json.dumps(arguments)],
                          capture_output=True, text=True, timeout=1800)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def same_file(path, original) -> None:
    subprocess.run(["cmp", str(path), str(original)], check=True, capture_output=True)


def listing(bench: Bench, tree: str, count: int | None = None) -> str:
    """A file with the names of the files of a tree, as JSON."""
    names = bench.originals.files(tree)[:count]
    path = bench.fresh("names") / "names.json"
    path.write_text(json.dumps(names))
    return str(path)


def same_tree(root, bench: Bench, names: str, tree: str = "small") -> None:
    given = read("digest", root=str(root), listing=names)
    assert given == read("digest", root=str(bench.originals.root / tree), listing=names), "wrong bytes"


def tar(root, *names: str) -> float:
    begin = time.perf_counter()
    command = ["tar", "cf", "-", "-C", str(root), *(names or ["."])]
    packing = subprocess.Popen(command, stdout=subprocess.PIPE)
    subprocess.run(["cat"], stdin=packing.stdout, stdout=subprocess.DEVNULL, check=True)
    assert packing.wait() == 0, "tar failed"
    return time.perf_counter() - begin


def fio(path, kind: str, block: str, jobs: int, engine: str = "psync", seconds: int = 2) -> float:
    """MiB/s of sequential, operations/s of random reading; the page cache stays as it is."""
    command = ["fio", "--name=x", f"--filename={path}", f"--rw={kind}", f"--bs={block}", f"--numjobs={jobs}",
               "--thread", f"--ioengine={engine}", "--readonly", "--group_reporting", "--invalidate=0",
               f"--runtime={seconds}", "--time_based", "--norandommap", "--output-format=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    result = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]["read"]
    return result["bw_bytes"] / MIB if kind == "read" else result["iops"]


def warmed(bench: Bench, home, tree: str) -> None:
    """Everything of an artifact on disk, verified."""
    with bench.mount(tree, home) as mount:
        tar(mount.path)
        settle(home, bench.originals.files(tree), bench, tree)


def settle(home, names, bench, tree) -> None:
    """Waits until the last part is hashed and in the shared cache."""
    objects = pathlib.Path(home.cache) / "artifacts" / "obj"
    sizes = {(bench.originals.root / tree / n).stat().st_size for n in names}
    largest = max(sizes)

    def largest_is_there():
        return any(p.stat().st_size == largest for p in objects.rglob("*") if p.is_file())

    harness.wait_until(largest_is_there, "the largest file is in the cache")


# -- warm --

@job("warm-large")
def warm_large(r: Round) -> None:
    """Sequential, random and mapped reading of a file that is in the cache."""
    bench = r.bench
    local, home = bench.originals.big, bench.home()
    warmed(bench, home, "large")

    def measure(candidate: str, path) -> None:
        read("sequential", path=str(path))
        for what, unit, arguments in (
            ("sequential", "MiB/s", ("read", "1m", 1)), ("sequential x4", "MiB/s", ("read", "1m", 4)),
            ("random 4k", "ops/s", ("randread", "4k", 1)), ("random 128k", "ops/s", ("randread", "128k", 1)),
            ("mmap 4k", "ops/s", ("randread", "4k", 1, "mmap")),
        ):
            r.name = f"warm {what}"
            r.add(candidate, unit, fio(path, *arguments))

    measure("local", local)
    with r.candidate("wandbfs"), bench.mount("large", home) as mount:
        measure("wandbfs" if mount.ready["passthrough"] else "wandbfs, no privilege", mount.path / "big.bin")
        same_file(mount.path / "big.bin", local)
    with r.candidate("wandbfs, page cache"), bench.mount("large", home, "--no-passthrough") as mount:
        measure("wandbfs, page cache", mount.path / "big.bin")
        same_file(mount.path / "big.bin", local)
    r.name = "warm-large"
    if shutil.which("rclone"):
        with r.candidate("rclone full"), bench.rclone("large", "full") as (_, point):
            measure("rclone full", point / "big.bin")


@job("warm-daemon")
def warm_daemon(r: Round) -> None:
    """The same file through the daemon: no passthrough, the mount's page cache empty."""
    bench, home = r.bench, r.bench.home()
    warmed(bench, home, "large")
    local = str(bench.originals.big)
    size = bench.originals.large_mib
    read("sequential", path=local)
    r.add("local", "MiB/s", size / read("sequential", path=local))
    name = "wandbfs, read by the daemon"
    with r.candidate(name), bench.mount("large", home, "--no-passthrough") as mount:
        r.add(name, "MiB/s", size / read("sequential", path=str(mount.path / "big.bin")))
        same_file(mount.path / "big.bin", local)


@job("warm-small")
def warm_small(r: Round) -> None:
    """10,000 small files that are in the cache: cat and tar, the second time on one mount."""
    bench, home = r.bench, r.bench.home()
    names = listing(bench, "small")
    count = bench.originals.small_count
    warmed(bench, home, "small")

    def measure(candidate: str, root) -> None:
        for what, once in (("cat", lambda: read("cat", root=str(root), listing=names)), ("tar", lambda: tar(root))):
            once()
            r.name = f"warm small {what}"
            r.add(candidate, "files/s", count / once())

    measure("local", bench.originals.root / "small")
    for name, flags in (("wandbfs train", TRAIN), ("wandbfs", ())):
        with r.candidate(name), bench.mount("small", home, *flags) as mount:
            measure(name, mount.path)
            same_tree(mount.path, bench, names)
    if shutil.which("rclone"):
        with r.candidate("rclone full"), bench.rclone("small", "full") as (_, point):
            measure("rclone full", point)


@job("warm-reopen")
def warm_reopen(r: Round) -> None:
    """`stat` and read of every file on a mount that has seen them, against a warm download."""
    bench, home = r.bench, r.bench.home()
    names = listing(bench, "small")
    warmed(bench, home, "small")
    for name, flags in (("wandbfs", ()), ("wandbfs train", TRAIN)):
        with r.candidate(name), bench.mount("small", home, *flags) as mount:
            read("look_and_cat", root=str(mount.path), listing=names)
            with bench.server.counted() as seen:
                r.add(name, "s", read("look_and_cat", root=str(mount.path), listing=names))
            asked = sum(seen[k] for k in ("graphql", "manifest", "blob"))
            r.results.add("warm-reopen requests", r.link, name, "requests", asked)
    if r.peers(slow=True):
        with r.candidate("SDK download, warm"):
            r.add("SDK download, warm", "s", bench.sdk_download("small", home, bench.fresh("sdk") / "out"))


# -- cold --

@job("cold-first-byte", ("0", "5", "20", "50"))
def cold_first_byte(r: Round) -> None:
    """The first 4 KiB of a large file, and then 4 KiB from its middle."""
    bench = r.bench
    url = bench.urls("large", ["big.bin"])["big.bin"]
    middle = bench.originals.large_mib * MIB * 7 // 10
    r.add("curl, range", "ms", 1000 * bench.curl_range(url, "0-4095"))
    with r.candidate("wandbfs"), bench.mount("large", bench.home()) as mount:
        path = str(mount.path / "big.bin")
        r.add("wandbfs", "ms", 1000 * read("first_byte", path=path))
        r.add("wandbfs, URL known", "ms", 1000 * read("first_byte", path=path, offset=middle))
    if shutil.which("rclone"):
        with r.candidate("rclone off"), bench.rclone("large") as (_, point):
            r.add("rclone off", "ms", 1000 * read("first_byte", path=str(point / "big.bin")))


@job("cold-sequential", ("0", "20", "1gbit"))
def cold_sequential(r: Round) -> None:
    """The large file once from end to end."""
    bench = r.bench
    size, local = bench.originals.large_mib, bench.originals.big
    url = bench.urls("large", ["big.bin"])["big.bin"]
    quarter = size * MIB // 4
    parts = [(url, f"{n * quarter}-{(n + 1) * quarter - 1}") for n in range(4)]
    r.add("curl x4", "MiB/s", size / bench.curl(parts, 4))
    with r.candidate("wandbfs"), bench.mount("large", bench.home()) as mount:
        idle = resident(mount.pid, peak=False)
        path = mount.path / "big.bin"
        r.add("wandbfs", "MiB/s", size / read("sequential", path=str(path)))
        r.results.add("memory idle", r.link, "wandbfs", "MiB", idle)
        r.results.add("memory 1 reader", r.link, "wandbfs", "MiB", resident(mount.pid, peak=True))
        same_file(path, local)
    if r.link != "1gbit" and shutil.which("rclone"):
        with r.candidate("rclone off"), bench.rclone("large") as (_, point):
            r.add("rclone off", "MiB/s", size / read("sequential", path=str(point / "big.bin")))
    with r.candidate("SDK download"):
        root = bench.fresh("sdk") / "out"
        whole = sum((bench.originals.large / n).stat().st_size for n in bench.originals.files("large")) / MIB
        seconds = bench.sdk_download("large", bench.home(), root)
        r.add("SDK download", "MiB/s", whole / seconds)
        then = read("sequential", path=str(root / "big.bin"))
        r.add("SDK download, then read", "MiB/s", size / (seconds * size / whole + then))
        shutil.rmtree(root)


@job("cold-readers", ("0",))
def cold_readers(r: Round) -> None:
    """Four readers, each a quarter of the large file."""
    bench = r.bench
    size = bench.originals.large_mib
    with r.candidate("wandbfs"), bench.mount("large", bench.home()) as mount:
        path = mount.path / "big.bin"
        r.add("wandbfs", "MiB/s", size / read("sequential", path=str(path), readers=4))
        r.results.add("memory 4 readers", r.link, "wandbfs", "MiB", resident(mount.pid, peak=True))
        same_file(path, bench.originals.big)
    if shutil.which("rclone"):
        with r.candidate("rclone off"), bench.rclone("large") as (_, point):
            r.add("rclone off", "MiB/s", size / read("sequential", path=str(point / "big.bin"), readers=4))


@job("cold-random", ("0", "20"))
def cold_random(r: Round) -> None:
    """200 reads of 4 KiB at random of a file of which nothing is here."""
    bench, count = r.bench, 200
    url = bench.urls("large", ["big.bin"])["big.bin"]
    original = str(bench.originals.big)
    begin = time.perf_counter()
    rng = random.Random(7)
    session = harness.requests.Session()
    for _ in range(count):
        at = rng.randrange(0, bench.originals.large_mib - 1) * MIB
        session.get(url, headers={"Range": f"bytes={at}-{at + MIB - 1}"}).raise_for_status()
    r.add("ranges of 1 MiB", "ops/s", count / (time.perf_counter() - begin))
    with r.candidate("wandbfs"), bench.mount("large", bench.home()) as mount:
        with bench.server.counted() as seen:
            seconds = read("scattered", path=str(mount.path / "big.bin"), original=original, count=count, size=4096)
        r.add("wandbfs", "ops/s", count / seconds)
        r.results.add("cold-random fetched", r.link, "wandbfs", "MiB", seen["bytes"] / MIB)
    if shutil.which("rclone"):
        for cache in ("off",) if r.quick else ("off", "full"):
            with r.candidate(f"rclone {cache}"), bench.rclone("large", cache) as (_, point):
                seconds = read("scattered", path=str(point / "big.bin"), original=original, count=count, size=4096)
                r.add(f"rclone {cache}", "ops/s", count / seconds)


@job("cold-tensors", ("0", "20"))
def cold_tensors(r: Round) -> None:
    """A safetensors file: its header, then all tensors."""
    bench = r.bench
    original = str(bench.originals.large / "model.safetensors")
    size = os.stat(original).st_size / MIB
    url = bench.urls("large", ["model.safetensors"])["model.safetensors"]
    r.add("curl", "MiB/s", size / bench.curl([(url, None)], 1))
    with r.candidate("wandbfs"), bench.mount("large", bench.home()) as mount:
        r.add("wandbfs", "MiB/s",
              size / read("tensors", path=str(mount.path / "model.safetensors"), original=original))
    if shutil.which("rclone"):
        with r.candidate("rclone off"), bench.rclone("large") as (_, point):
            r.add("rclone off", "MiB/s",
                  size / read("tensors", path=str(point / "model.safetensors"), original=original))


def peer_directories(r: Round) -> list[str]:
    """Whole directories for peers that pay a round trip a file; all of them without latency."""
    return [f"d{n:02}" for n in range(3 if r.link != "0" else 100)]


@job("cold-tar", ("0", "20", "1gbit"))
def cold_tar(r: Round) -> None:
    """10,000 small files in listing order. In ms a file, because the peers get fewer at a latency
    that costs them a round trip each."""
    bench = r.bench
    count = bench.originals.small_count
    names = listing(bench, "small")
    for name, flags in (("wandbfs", ()), ("wandbfs train", TRAIN)):
        with r.candidate(name), bench.mount("small", bench.home(), *flags) as mount:
            r.add(name, "ms/file", 1000 * tar(mount.path) / count)
            r.results.add("memory small files", r.link, name, "MiB", resident(mount.pid, peak=True))
            same_tree(mount.path, bench, names)
    with r.candidate("curl x8"):
        urls = list(bench.urls("small").values())
        r.add("curl x8", "ms/file", 1000 * bench.curl([(url, None) for url in urls], 8) / count)
    if shutil.which("rclone") and r.link != "1gbit":
        directories = peer_directories(r)
        files = sum(1 for n in bench.originals.files("small") if n.split("/")[0] in directories)
        with r.candidate("rclone off"), bench.rclone("small") as (_, point):
            r.add("rclone off", "ms/file", 1000 * tar(point, *directories) / files)
    if r.peers(slow=True) and r.link != "1gbit":
        with r.candidate("SDK download"):
            root = bench.fresh("sdk") / "out"
            r.add("SDK download", "ms/file", 1000 * bench.sdk_download("small", bench.home(), root) / count)
            shutil.rmtree(root)


@job("cold-shuffled", ("0", "20"))
def cold_shuffled(r: Round) -> None:
    """The same in random order by four processes."""
    bench = r.bench
    names = listing(bench, "small")
    count = bench.originals.small_count
    with r.candidate("wandbfs"), bench.mount("small", bench.home()) as mount:
        seconds = read("cat", root=str(mount.path), listing=names, workers=4, shuffled=True)
        r.add("wandbfs", "ms/file", 1000 * seconds / count)
        same_tree(mount.path, bench, names)
    if shutil.which("rclone"):
        some = listing(bench, "small", 300 if r.link != "0" else None)
        files = len(json.loads(pathlib.Path(some).read_text()))
        with r.candidate("rclone off"), bench.rclone("small") as (_, point):
            seconds = read("cat", root=str(point), listing=some, workers=4, shuffled=True)
            r.add("rclone off", "ms/file", 1000 * seconds / files)


@job("epochs", ("0", "20"))
def epochs(r: Round) -> None:
    """A shuffling loader with two workers for two epochs, the first of them cold."""
    bench = r.bench
    names = listing(bench, "small")
    for name, flags in (("wandbfs train", TRAIN), ("wandbfs", ())):
        with r.candidate(name), bench.mount("small", bench.home(), *flags) as mount:
            r.add(name, "s", read("epochs", root=str(mount.path), listing=names))
    if r.peers(slow=True):
        with r.candidate("SDK download, then local"):
            root = bench.fresh("sdk") / "out"
            seconds = bench.sdk_download("small", bench.home(), root)
            r.add("SDK download, then local", "s", seconds + read("epochs", root=str(root), listing=names))
            shutil.rmtree(root)


# -- listings --

def shell(command: str) -> float:
    begin = time.perf_counter()
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


@job("list", ("0",))
def listings(r: Round) -> None:
    """100,000 files in 100 directories."""
    bench = r.bench
    commands = {"ls -lUR": "ls -lUR --color=never {}", "find": "find {} -type f"}
    deep = "dir-0042/file-0042042.txt"

    def measure(candidate: str, root) -> None:
        for what, command in commands.items():
            r.name = f"warm {what} of 100,000"
            shell(command.format(root))
            r.add(candidate, "s", shell(command.format(root)))
        r.name = "stat of one path"
        r.add(candidate, "ops/s", read("stat_rate", path=str(root / deep)))

    measure("local", bench.originals.many)
    for name, flags in (("wandbfs", ()), ("wandbfs train", TRAIN)):
        with r.candidate(name), bench.mount("many", bench.home(), *flags) as mount:
            with bench.server.counted() as seen:
                r.name = "cold ls -lUR of 100,000"
                r.add(name, "s", shell(commands["ls -lUR"].format(mount.path)))
            r.results.add("manifest of 100,000", r.link, name, "MiB", seen["bytes"] / MIB)
            measure(name, mount.path)
            r.results.add("memory 100,000 listed", r.link, name, "MiB", resident(mount.pid, peak=True))
    r.name = "list"


@job("million", asked_for=True)
def million(r: Round) -> None:
    """A version of 1,000,000 files: the first name, all names, memory."""
    data = r.bench.state.parent / "million"
    data.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    with harness.Server(data, "--seed", "files=1000000") as server:
        print(f"   the server is there after {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        root = f"{server.entity}/scale/files:latest"
        mount = harness.Mount(server, r.bench.home(), "--root", root)
        with mount as path:
            begin = time.perf_counter()
            next(os.scandir(path))
            r.add("wandbfs, first name", "s", time.perf_counter() - begin)
            r.add("wandbfs, find", "s", shell(f"test $(find {path} -type f | wc -l) = 1000000"))
            r.add("wandbfs, ls -lUR", "s", shell(f"ls -lUR --color=never {path}"))
            r.results.add("memory 1,000,000 listed", r.link, "wandbfs", "MiB", resident(mount.pid, peak=True))


TARGETS = [
    *(Target(f"warm {what}", "0", "wandbfs", "local", least=0.95, why=f"warm {what}, passthrough, of local")
      for what in ("sequential", "sequential x4", "random 4k", "random 128k", "mmap 4k")),
    *(Target(f"warm small {what}", "0", "wandbfs train", "local", least=0.6, why=f"warm small files, {what}, train, of ext4")
      for what in ("cat", "tar")),
    *(Target(f"warm small {what}", "0", "wandbfs train", "wandbfs", least=4, why=f"warm small files, {what}, train, of the mount with opens")
      for what in ("cat", "tar")),
    Target("warm-reopen", "0", "wandbfs", "SDK download, warm", least=40, why="warm re-open, of a warm download"),
    Target("warm-reopen requests", "0", "wandbfs", most=0, why="requests of a warm re-open"),
    Target("cold-sequential", "1gbit", "wandbfs", "curl x4", least=0.97, why="cold sequential, the wire limits, of parallel curl"),
    Target("cold-sequential", "0", "wandbfs", "curl x4", least=0.5, why="cold sequential, the CPU limits, of parallel curl"),
    *(Target("cold-sequential", link, "wandbfs", "SDK download, then read", least=1, why="cold sequential, of download then read")
      for link in ("0", "20", "1gbit")),
    Target("memory 1 reader", "0", "wandbfs", most=128, why="memory of one cold reader"),
    Target("memory 1,000,000 listed", "0", "wandbfs", most=300, why="memory after 1,000,000 entries"),
    Target("memory idle", "0", "wandbfs", most=25, why="memory of an idle mount"),
    Target("memory 4 readers", "0", "wandbfs", most=128 + 64, why="memory of four cold readers"),
    *(Target("cold-first-byte", link, "wandbfs, URL known", "curl, range", plus=5, why="byte of a large file, URL known, curl + 5 ms")
      for link in ("0", "5", "20", "50")),
    Target("cold-random", "0", "wandbfs", "ranges of 1 MiB", least=2, why="200 random 4 KiB, of ranges of 1 MiB"),
    Target("cold-random fetched", "0", "wandbfs", most=32, why="fetched for 200 random 4 KiB"),
    Target("cold-tar", "0", "wandbfs", "SDK download", least=8, why="cold tar of small files, of download()"),
    Target("cold-tar", "0", "wandbfs", "rclone off", least=2, why="cold tar of small files, of rclone's http remote"),
    Target("cold-tar", "20", "wandbfs", most=2, why="cold tar of small files at 20 ms, a file"),
    Target("epochs", "0", "wandbfs train", "SDK download, then local", least=1, why="two epochs, of download and two local epochs"),
    Target("warm ls -lUR of 100,000", "0", "wandbfs", "local", least=0.5, why="warm ls -l of 100,000, of ext4"),
]
