"""Jobs on a large file of which nothing is in the cache."""

from __future__ import annotations

import os
import random
import time

from measure import MIB, Round, job, read, same_file
from world import harness, resident

# Given to the mount so that the bound on memory is known: it is also the default here.
BUDGET_MIB = 128


def quarters(url: str, size_mib: int) -> list[tuple[str, str]]:
    quarter = size_mib * MIB // 4
    return [(url, f"{n * quarter}-{(n + 1) * quarter - 1}") for n in range(4)]


def big_by_curl(r: Round) -> None:
    """The large file in four parts side by side: the limit of the wire."""
    size = r.bench.originals.large_mib
    url = r.bench.urls("large", ["big.bin"])["big.bin"]
    r.add("curl x4", "MiB/s", size / r.bench.curl(quarters(url, size), 4))


@job("cold-first-byte", ("0", "5", "20", "50"))
def cold_first_byte(r: Round) -> None:
    """The first 4 KiB of a large file, and then 4 KiB from its middle."""
    bench, original = r.bench, str(r.bench.originals.big)
    url = bench.urls("large", ["big.bin"])["big.bin"]
    middle = bench.originals.large_mib * MIB * 7 // 10
    r.add("curl, range", "ms", 1000 * bench.curl_range(url, "0-4095"))
    with r.candidate("wandbfs"), bench.mount("large", bench.home()) as mount:
        path = str(mount.path / "big.bin")
        r.add("wandbfs", "ms", 1000 * read("first_byte", path=path, original=original))
        r.add("wandbfs, URL known", "ms",
              1000 * read("first_byte", path=path, original=original, offset=middle))
    for name, mounted in r.peers("large"):
        with r.candidate(name), mounted() as point:
            r.add(name, "ms", 1000 * read("first_byte", path=str(point / "big.bin"), original=original))


@job("cold-sequential", ("0", "5", "20", "50", "1gbit", "1gbit20"))
def cold_sequential(r: Round) -> None:
    """The large file once from end to end."""
    bench = r.bench
    size, local = bench.originals.large_mib, bench.originals.big
    big_by_curl(r)
    with r.reader_of_all("wandbfs"), bench.mount("large", bench.home()) as mount:
        idle = resident(mount.pid, peak=False)
        path = mount.path / "big.bin"
        r.add("wandbfs", "MiB/s", size / read("sequential", path=str(path)))
        r.add("wandbfs", "MiB", idle, "memory idle")
        r.add("wandbfs", "MiB", resident(mount.pid, peak=True), "memory 1 reader")
        same_file(path, local)
    for name, mounted in r.peers("large") if r.link in ("0", "20") else ():
        with r.reader_of_all(name), mounted() as point:
            r.add(name, "MiB/s", size / read("sequential", path=str(point / "big.bin")))
            same_file(point / "big.bin", local)
    if r.link in ("0", "20") or r.first() and r.link == "1gbit":
        with r.reader_of_all("SDK download, then read"):
            root = bench.fresh("sdk") / "out"
            seconds = bench.sdk_download("large", bench.home(), root, "big.bin")
            r.add("SDK download", "MiB/s", size / seconds)
            then = read("sequential", path=str(root / "big.bin"))
            r.add("SDK download, then read", "MiB/s", size / (seconds + then))
            same_file(root / "big.bin", local)


@job("layers", ("0", "20"))
def layers(r: Round) -> None:
    """The large file through each layer of the read path on its own: source, store, tree, and the
    whole mount."""
    bench = r.bench
    size, local = bench.originals.large_mib, bench.originals.big
    big_by_curl(r)
    for name in ("source", "store", "tree"):
        with r.reader_of_all(name):
            r.add(name, "MiB/s", size / bench.layer(name, "large", "big.bin"))
    with r.reader_of_all("mount"), bench.mount("large", bench.home()) as mount:
        r.add("mount", "MiB/s", size / read("sequential", path=str(mount.path / "big.bin")))
        same_file(mount.path / "big.bin", local)


@job("cold-readers", ("0", "20"))
def cold_readers(r: Round) -> None:
    """Four readers, each a quarter of the large file."""
    bench = r.bench
    size, local = bench.originals.large_mib, bench.originals.big
    big_by_curl(r)
    memory = ("--memory", f"{BUDGET_MIB}MiB")
    with r.reader_of_all("wandbfs"), bench.mount("large", bench.home(), *memory) as mount:
        path = mount.path / "big.bin"
        r.add("wandbfs", "MiB/s", size / read("sequential", path=str(path), readers=4))
        r.add("wandbfs", "MiB", resident(mount.pid, peak=True), "memory 4 readers")
        same_file(path, local)
    for name, mounted in r.peers("large"):
        with r.reader_of_all(name), mounted() as point:
            r.add(name, "MiB/s", size / read("sequential", path=str(point / "big.bin"), readers=4))
            same_file(point / "big.bin", local)


@job("memory-random")
def memory_random(r: Round) -> None:
    """64 readers of 4 KiB at random in a file of which nothing is here."""
    bench, original = r.bench, str(r.bench.originals.big)
    memory = ("--memory", f"{BUDGET_MIB}MiB")
    with r.candidate("wandbfs"), bench.mount("large", bench.home(), *memory) as mount:
        seconds = read("scattered_by_many", path=str(mount.path / "big.bin"), original=original,
                       readers=64, count=50, size=4096)
        r.add("wandbfs", "ops/s", 64 * 50 / seconds)
        r.add("wandbfs", "MiB", resident(mount.pid, peak=True), "memory 64 random readers")


@job("cold-random", ("0", "20"))
def cold_random(r: Round) -> None:
    """200 reads at random, of 4 KiB and of 128 KiB, of a file of which nothing is here."""
    bench, count = r.bench, 200
    url = bench.urls("large", ["big.bin"])["big.bin"]
    original = str(bench.originals.big)
    ranges = count / one_by_one(bench, url, original, count)
    for what, size in (("4k", 4096), ("128k", 128 << 10)):
        row, arguments = f"cold-random {what}", dict(original=original, count=count, size=size)
        r.add("ranges of 1 MiB", "ops/s", ranges, row)
        with r.candidate("wandbfs"), bench.mount("large", bench.home()) as mount:
            with bench.server.counted() as seen:
                seconds = read("scattered", path=str(mount.path / "big.bin"), **arguments)
            r.add("wandbfs", "ops/s", count / seconds, row)
            r.add("wandbfs", "MiB", seen["bytes"] / MIB, f"{row} fetched")
        for name, mounted in (*r.peers("large", slow=True), *r.rclone_full("large")):
            with r.candidate(name), mounted() as point:
                seconds = read("scattered", path=str(point / "big.bin"), **arguments)
                r.add(name, "ops/s", count / seconds, row)


def one_by_one(bench, url: str, original: str, count: int) -> float:
    """Seconds of that many ranges of 1 MiB over one connection; their bytes are compared."""
    rng, session = random.Random(7), harness.requests.Session()
    offsets = [rng.randrange(0, bench.originals.large_mib - 1) * MIB for _ in range(count)]
    begin = time.perf_counter()
    got = [session.get(url, headers={"Range": f"bytes={at}-{at + MIB - 1}"}) for at in offsets]
    elapsed = time.perf_counter() - begin
    with open(original, "rb") as file:
        for at, answer in zip(offsets, got):
            assert os.pread(file.fileno(), MIB, at) == answer.content, f"wrong bytes at {at}"
    return elapsed


@job("cold-tensors", ("0", "20"))
def cold_tensors(r: Round) -> None:
    """A safetensors file: its header, then all tensors through a mapping."""
    bench, name = r.bench, "model.safetensors"
    original = str(bench.originals.large / name)
    size = os.stat(original).st_size / MIB
    r.add("curl", "MiB/s", size / bench.curl([(bench.urls("large", [name])[name], None)], 1))
    with r.candidate("wandbfs"), bench.mount("large", bench.home()) as mount:
        r.add("wandbfs", "MiB/s", size / read("tensors", path=str(mount.path / name), original=original))
    for peer, mounted in r.peers("large", slow=True):
        with r.candidate(peer), mounted() as point:
            r.add(peer, "MiB/s", size / read("tensors", path=str(point / name), original=original))
