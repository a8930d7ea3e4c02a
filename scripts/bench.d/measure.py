"""What jobs are made of: their registry, a round of one, and the ways to read and to compare."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

from world import HERE, LINKS, MIB, Bench

TRAIN = ("--profile", "train", "--read-only")
JOBS: dict[str, "Job"] = {}


class Job:
    """A measurement and where it is made. With `once` it is made in the first round only; what is
    `asked_for` is left out unless it is named."""

    def __init__(self, measure, links, once, asked_for):
        self.measure, self.links, self.once, self.asked_for = measure, links, once, asked_for
        self.about = " ".join((measure.__doc__ or "").split())


def job(name: str, links=("0",), once: bool = False, asked_for: bool = False):
    """Registers a measurement under a name."""

    def register(measure):
        JOBS[name] = Job(measure, links, once, asked_for)
        return measure

    return register


class Round:
    """One round of one job: where its values go, and which candidates take part."""

    def __init__(self, bench: Bench, results, name: str, link: str, number: int):
        self.bench, self.results, self.name, self.link, self.number = bench, results, name, link, number

    def add(self, candidate: str, unit: str, value: float, what: str | None = None) -> None:
        """A value of a candidate; `what` names the row where the job has several."""
        what = what or self.name
        self.results.add(what, self.link, candidate, unit, value)
        print(f"   {what} over {self.link}: {candidate} {value:.4g} {unit}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def candidate(self, name: str):
        """A candidate that fails fails the run, and does not keep the others."""
        try:
            yield
        except Exception as why:  # noqa: BLE001  whatever a candidate dies of
            words = str(why).strip().splitlines() or [type(why).__name__]
            self.results.failed(self.name, self.link, name, words[-1][:200])
            print(f"   {self.name} over {self.link}: {name} FAILED: {why}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def reader_of_all(self, name: str):
        """A candidate that brings all of the large file into the page cache. Where nothing limits the
        wire, what its pages cost counts."""
        with self.candidate(name):
            if LINKS[self.link][1] is None:
                self.bench.fill_memory()
            yield

    def first(self) -> bool:
        """Whether this is the first round, the only one for what takes long."""
        return self.number == 0

    def peers(self, tree: str, slow: bool = False) -> list[tuple[str, Callable]]:
        """Peers that are installed, with what mounts the files of a tree; none of them in later
        rounds where they are slow."""
        ways = {"rclone off": self.bench.rclone, "mount-s3": self.bench.mount_s3}
        there = {name: way for name, way in ways.items() if shutil.which(name.split()[0])}
        return [(name, lambda way=way: way(tree)) for name, way in there.items() if self.first() or not slow]

    def rclone_full(self, tree: str) -> list[tuple[str, Callable]]:
        """rclone with a cache on disk, in the first round."""
        there = self.first() and shutil.which("rclone")
        return [("rclone full", lambda: self.bench.rclone(tree, "full"))] if there else []


def read(operation: str, **arguments):
    """One operation of reader.py in a process of its own."""
    done = subprocess.run([sys.executable, str(HERE / "reader.py"), operation, json.dumps(arguments)],
                          capture_output=True, text=True, timeout=1800)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def same_file(path, original) -> None:
    done = subprocess.run(["cmp", str(path), str(original)], capture_output=True, text=True)
    assert done.returncode == 0, f"wrong bytes: {done.stdout}{done.stderr}"


def listing(bench: Bench, tree: str, keep=lambda name: True) -> str:
    """A file with the names of the files of a tree, as JSON."""
    path = bench.fresh("names") / "names.json"
    path.write_text(json.dumps([name for name in bench.originals.files(tree) if keep(name)]))
    return str(path)


def count_of(names: str) -> int:
    return len(json.loads(pathlib.Path(names).read_text()))


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


def shell(command: str) -> float:
    begin = time.perf_counter()
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def fio(path, kind: str, block: str, jobs: int, engine: str = "psync", seconds: int = 1) -> float:
    """MiB/s of sequential, operations/s of random reading; the page cache stays as it is."""
    command = ["fio", "--name=x", f"--filename={path}", f"--rw={kind}", f"--bs={block}", f"--numjobs={jobs}",
               "--thread", f"--ioengine={engine}", "--readonly", "--group_reporting", "--invalidate=0",
               f"--runtime={seconds}", "--time_based", "--norandommap", "--output-format=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    result = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]["read"]
    return result["bw_bytes"] / MIB if kind == "read" else result["iops"]
