"""Jobs on 10,000 files of 4 KiB of which nothing is in the cache."""

from __future__ import annotations

from measure import TRAIN, Round, count_of, job, listing, read, same_tree, tar
from world import resident

# Directories of 100 files that a peer packs at a latency which costs it a round trip a file.
FEW = tuple(f"d{n:02}" for n in range(3))


def for_peers(r: Round) -> tuple[str, tuple[str, ...]]:
    """What a peer reads: the names of all files and no directories, or a few of both."""
    if r.link == "0":
        return listing(r.bench, "small"), ()
    return listing(r.bench, "small", lambda name: name.split("/")[0] in FEW), FEW


@job("cold-tar", ("0", "5", "20", "50", "1gbit"))
def cold_tar(r: Round) -> None:
    """All in listing order. In ms a file, because peers get fewer where each costs a round trip."""
    bench = r.bench
    count, names = bench.originals.small_count, listing(bench, "small")
    transfers = [(url, None) for url in bench.urls("small").values()]
    r.add("curl x32", "ms/file", 1000 * bench.curl(transfers, 32) / count)
    for name, flags in (("wandbfs", ()), ("wandbfs train", TRAIN))[:2 if r.link in ("0", "20") else 1]:
        with r.candidate(name), bench.mount("small", bench.home(), *flags) as mount:
            r.add(name, "ms/file", 1000 * tar(mount.path) / count)
            r.add(name, "MiB", resident(mount.pid, peak=True), "memory small files")
            same_tree(mount.path, bench, names)
    some, directories = for_peers(r)
    for name, mounted in r.peers("small", slow=r.link != "0") if r.link in ("0", "20") else ():
        with r.candidate(name), mounted() as point:
            r.add(name, "ms/file", 1000 * tar(point, *directories) / count_of(some))
            same_tree(point, bench, some)
    if r.link in ("0", "20") and r.first():
        with r.candidate("SDK download"):
            seconds = bench.small_files_by_sdk(lambda root: same_tree(root, bench, names))
            r.add("SDK download", "ms/file", 1000 * seconds / count)


@job("cold-shuffled", ("0", "20"))
def cold_shuffled(r: Round) -> None:
    """All in random order by four processes."""
    bench = r.bench
    count, names = bench.originals.small_count, listing(bench, "small")
    for name, flags in (("wandbfs", ()), ("wandbfs train", TRAIN)):
        with r.candidate(name), bench.mount("small", bench.home(), *flags) as mount:
            seconds = read("cat", root=str(mount.path), listing=names, workers=4, shuffled=True)
            r.add(name, "ms/file", 1000 * seconds / count)
            same_tree(mount.path, bench, names)
    some, _ = for_peers(r)
    for name, mounted in r.peers("small", slow=r.link != "0"):
        with r.candidate(name), mounted() as point:
            seconds = read("cat", root=str(point), listing=some, workers=4, shuffled=True)
            r.add(name, "ms/file", 1000 * seconds / count_of(some))
            same_tree(point, bench, some)


@job("epochs", ("0", "20"))
def epochs(r: Round) -> None:
    """A shuffling loader with two workers for two epochs, the first of them cold."""
    bench = r.bench
    names = listing(bench, "small")
    for name, flags in (("wandbfs train", TRAIN), ("wandbfs", ())):
        with r.candidate(name), bench.mount("small", bench.home(), *flags) as mount:
            r.add(name, "s", read("epochs", root=str(mount.path), listing=names))
            same_tree(mount.path, bench, names)
    if r.first():
        with r.candidate("SDK download, then local"):
            seconds = bench.small_files_by_sdk(lambda root: same_tree(root, bench, names))
            local = read("epochs", root=str(bench.originals.small), listing=names)
            r.add("SDK download, then local", "s", seconds + local)
