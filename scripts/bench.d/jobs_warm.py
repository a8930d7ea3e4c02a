"""Jobs whose bytes are in the cache, verified."""

from __future__ import annotations

import contextlib

from measure import TRAIN, Round, fio, job, listing, read, same_file, same_tree, tar
from originals import SIZES_KIB


READS = {"sequential": ("MiB/s", ("read", "1m", 1)), "sequential x4": ("MiB/s", ("read", "1m", 4)),
         "random 4k": ("ops/s", ("randread", "4k", 1)), "random 128k": ("ops/s", ("randread", "128k", 1)),
         "mmap 4k": ("ops/s", ("randread", "4k", 1, "mmap"))}
TURNS = 2


@job("warm-large")
def warm_large(r: Round) -> None:
    """Sequential, random and mapped reading of a file that is in the cache and in the page cache. The
    candidates take turns: two readings of one file in a row differ by a quarter."""
    bench = r.bench
    local, home = bench.originals.big, bench.warm_home("large")
    with contextlib.ExitStack() as stack:
        mount = stack.enter_context(bench.mount("large", home))
        paged = stack.enter_context(bench.mount("large", home, "--no-passthrough"))
        paths = {"local": local,
                 "wandbfs" if mount.ready["passthrough"] else "wandbfs, no privilege": mount.path / "big.bin",
                 "wandbfs, page cache": paged.path / "big.bin"}
        # What the kernel takes for passthrough itself; that daemon has one open at a time.
        paths["bare daemon, passthrough"] = stack.enter_context(bench.daemon("passthrough", local))
        for name, mounted in r.rclone_full("large"):
            paths[name] = stack.enter_context(mounted()) / "big.bin"
        for path in paths.values():
            same_file(path, local)
        for what, (unit, arguments) in READS.items():
            for _ in range(TURNS):
                for candidate, path in paths.items():
                    if what.endswith("x4") and candidate.startswith("bare"):
                        continue
                    r.add(candidate, unit, fio(path, *arguments), f"warm {what}")


@job("warm-daemon")
def warm_daemon(r: Round) -> None:
    """The same file copied by a daemon: no passthrough, the mount's page cache empty, the backing file in
    memory. Beside it bare daemons that do nothing else."""
    bench, home = r.bench, r.bench.warm_home("large")
    local, size = bench.originals.big, bench.originals.large_mib

    def measure(candidate: str, path) -> None:
        r.add(candidate, "MiB/s", size / read("sequential", path=str(path)))
        same_file(path, local)

    read("sequential", path=str(local))
    for _ in range(TURNS):
        measure("local", local)
        for how in ("pread", "memory", "direct"):
            with r.reader_of_all(f"bare daemon, {how}"), bench.daemon(how, local) as path:
                measure(f"bare daemon, {how}", path)
        with r.reader_of_all("wandbfs"), bench.mount("large", home, "--no-passthrough") as mount:
            measure("wandbfs", mount.path / "big.bin")


@job("warm-small")
def warm_small(r: Round) -> None:
    """10,000 small files that are in the cache: cat and tar, the second time on one mount."""
    bench, home = r.bench, r.bench.warm_home("small")
    names = listing(bench, "small")
    count = bench.originals.small_count

    def measure(candidate: str, root) -> None:
        for what, once in (("cat", lambda: read("cat", root=str(root), listing=names)), ("tar", lambda: tar(root))):
            once()
            r.add(candidate, "files/s", count / once(), f"warm small {what}")
        same_tree(root, bench, names)

    measure("local", bench.originals.small)
    for name, flags in (("wandbfs train", TRAIN), ("wandbfs", ())):
        with r.candidate(name), bench.mount("small", home, *flags) as mount:
            measure(name, mount.path)
    for name, mounted in r.rclone_full("small"):
        with r.candidate(name), mounted() as point:
            measure(name, point)


@job("warm-reopen")
def warm_reopen(r: Round) -> None:
    """`stat` and read of every file on a mount that has seen them, against a warm download."""
    bench, home = r.bench, r.bench.warm_home("small")
    names = listing(bench, "small")
    for name, flags in (("wandbfs", ()), ("wandbfs train", TRAIN)):
        with r.candidate(name), bench.mount("small", home, *flags) as mount:
            read("look_and_cat", root=str(mount.path), listing=names)
            with bench.server.counted() as seen:
                r.add(name, "s", read("look_and_cat", root=str(mount.path), listing=names))
            asked = sum(seen[kind] for kind in ("graphql", "manifest", "blob"))
            r.add(name, "requests", asked, "warm-reopen requests")
            same_tree(mount.path, bench, names)
    if r.first():
        with r.candidate("SDK download, warm"):
            root = bench.fresh("sdk") / "out"
            r.add("SDK download, warm", "s", bench.sdk_download("small", home, root))
            same_tree(root, bench, names)


@job("crossover", asked_for=True)
def crossover(r: Round) -> None:
    """Files of 64 KiB to 4 MiB opened, read and closed again and again, warm: from which size on
    passthrough beats the page cache, in a bare daemon and in the mount."""
    bench, home = r.bench, r.bench.warm_home("sizes")

    def measure(candidate: str, kib: int, path) -> None:
        read("reopened", path=str(path), seconds=0.2)
        r.add(candidate, "MiB/s", read("reopened", path=str(path)), f"crossover {kib} KiB")
        same_file(path, bench.originals.sizes / f"{kib}.bin")

    for kib in SIZES_KIB:
        measure("local", kib, bench.originals.sizes / f"{kib}.bin")
        for how, name in (("pread", "bare daemon, page cache"), ("passthrough", "bare daemon, passthrough")):
            with r.candidate(name), bench.daemon(how, bench.originals.sizes / f"{kib}.bin") as path:
                measure(name, kib, path)
    for name, flags in (("wandbfs, page cache", ("--no-passthrough",)), ("wandbfs", ())):
        with r.candidate(name), bench.mount("sizes", home, *flags) as mount:
            for kib in SIZES_KIB:
                measure(name, kib, mount.path / f"{kib}.bin")
