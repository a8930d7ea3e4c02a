"""Jobs that read names and attributes."""

from __future__ import annotations

import os
import sys
import time

from measure import MIB, TRAIN, Round, job, listing, read, same_tree, shell
from world import harness, resident

LS = "ls -lUR --color=never {}"
FIND = "find {} -type f"
DEEP = "dir-0042/file-0042042.txt"


def same_names(root, original) -> None:
    """Every name, kind and size, and the bytes of the files of one directory."""
    lines = "(cd {} && find . -type f -printf '%P %s\\n' | LC_ALL=C sort)"
    shell(f"bash -c \"cmp <{lines.format(root)} <{lines.format(original)}\"")


@job("list")
def listings(r: Round) -> None:
    """100,000 files in 100 directories."""
    bench = r.bench
    original = bench.originals.many
    some = listing(bench, "many", lambda name: name.startswith("dir-0042/"))

    def warm(candidate: str, root) -> None:
        for what, command in (("ls -lUR", LS), ("find", FIND)):
            shell(command.format(root))
            r.add(candidate, "s", shell(command.format(root)), f"warm {what} of 100,000")
        same_names(root, original)
        same_tree(root, bench, some, "many")

    r.add("curl, manifest", "s", bench.curl([(bench.manifest_url("many"), None)], 1), "cold ls -lUR of 100,000")
    for name, flags in (("wandbfs", ()), ("wandbfs train", TRAIN)):
        with r.candidate(name):
            # The mount is part of it: with the profile it reads the manifest before it answers.
            with bench.server.counted() as seen:
                begin = time.perf_counter()
                with bench.mount("many", bench.home(), *flags) as mount:
                    shell(LS.format(mount.path))
                    r.add(name, "s", time.perf_counter() - begin, "cold ls -lUR of 100,000")
                    r.add(name, "MiB", resident(mount.pid, peak=True), "memory 100,000 listed")
            r.add(name, "MiB", seen["bytes"] / MIB, "fetched for 100,000 listed")
    warm("local", original)
    for name, flags in (("wandbfs", ()), ("wandbfs train", TRAIN)):
        with r.candidate(name), bench.mount("many", bench.home(), *flags) as mount:
            warm(name, mount.path)
    for name, mounted in r.peers("many", slow=True):
        with r.candidate(name), mounted() as point:
            r.add(name, "s", shell(LS.format(point)), "cold ls -lUR of 100,000")
            warm(name, point)


@job("stat")
def stat_deep(r: Round) -> None:
    """`stat` of a file eight levels below the top of everything, the first time and then again."""
    bench = r.bench
    original = bench.originals.many / DEEP
    r.add("local", "ops/s", read("stat_rate", path=str(original)), "warm stat of a deep path")
    with r.candidate("wandbfs"), harness.Mount(bench.server, bench.home()) as root:
        path = root / bench.server.entity / "scale/dataset/files/v0/files" / DEEP
        begin = time.perf_counter()
        size = os.stat(path).st_size
        r.add("wandbfs", "ms", 1000 * (time.perf_counter() - begin), "cold stat of a deep path")
        r.add("wandbfs", "ops/s", read("stat_rate", path=str(path)), "warm stat of a deep path")
        assert size == original.stat().st_size and path.read_bytes() == original.read_bytes(), "wrong bytes"


@job("million", once=True)
def million(r: Round) -> None:
    """A version of 1,000,000 files: the first name, all names, all attributes, memory."""
    data = r.bench.state.parent / "million"
    data.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    with harness.Server(data, "--seed", "files=1000000") as server:
        print(f"   the server is there after {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        mount = harness.Mount(server, r.bench.home(), "--root", f"{server.entity}/scale/files:latest")
        with mount as path:
            begin = time.perf_counter()
            next(os.scandir(path))
            r.add("wandbfs", "s", time.perf_counter() - begin, "first name of 1,000,000")
            r.add("wandbfs", "s", shell(f"test $(find {path} -type f | wc -l) = 1000000"), "find of 1,000,000")
            r.add("wandbfs", "s", shell(LS.format(path)), "ls -lUR of 1,000,000")
            r.add("wandbfs", "MiB", resident(mount.pid, peak=True), "memory 1,000,000 listed")
            for n in range(0, 1_000_000, 99_991):
                text = (path / f"dir-{n // 1000:04}" / f"file-{n:07}.txt").read_text()
                assert text == f"file {n % 1000}\nof 1000 contents\n", "wrong bytes"
