"""What the mount must reach, as ratios within one run."""

from __future__ import annotations

from jobs_cold import BUDGET_MIB
from report import Target

# What four readers may take beside the budget; 64 random ones are held to the same.
BESIDE_BUDGET_MIB = 64


def small(what: str) -> list[Target]:
    job = f"warm small {what}"
    return [
        Target(job, "0", "wandbfs train", "local", least=0.6, why=f"warm small files, {what}, train, of ext4"),
        Target(job, "0", "wandbfs train", "wandbfs", least=4, why=f"warm small files, {what}, train, of the mount with opens"),
    ]


WARM = [
    *(Target(f"warm {what}", "0", "wandbfs", "local", least=0.95, why=f"warm {what}, passthrough, of local")
      for what in ("sequential", "sequential x4", "random 4k", "random 128k", "mmap 4k")),
    Target("warm-daemon", "0", "wandbfs", ("bare daemon, pread", "bare daemon, memory"), least=0.9,
           why="warm sequential without passthrough, of the best bare daemon that fills the page cache"),
    Target("warm-daemon", "0", "wandbfs", "bare daemon, direct", least=0.9,
           why="the same, of a bare daemon past the page cache"),
    *small("cat"), *small("tar"),
    *(Target("warm-reopen", "0", name, "SDK download, warm", least=40, why=f"warm re-open, {name}, of a warm download")
      for name in ("wandbfs", "wandbfs train")),
    *(Target("warm-reopen requests", "0", name, most=0, why=f"requests of a warm re-open, {name}")
      for name in ("wandbfs", "wandbfs train")),
]

COLD = [
    *(Target("cold-sequential", link, "wandbfs", "curl x4", least=0.97,
             why="cold sequential, the wire limits, of parallel curl") for link in ("1gbit", "1gbit20")),
    Target("cold-sequential", "0", "wandbfs", "curl x4", least=0.5, why="cold sequential, the CPU limits, of parallel curl"),
    *(Target("cold-sequential", link, "wandbfs", "SDK download, then read", least=1,
             why="cold sequential, of download then read") for link in ("0", "20", "1gbit")),
    *(Target("cold-first-byte", link, "wandbfs, URL known", "curl, range", plus=5,
             why="byte of a large file, URL known: curl + 5 ms") for link in ("0", "5", "20", "50")),
    Target("cold-first-byte", "20", "wandbfs", "curl, range", times=2, plus=5,
           why="first byte of a large file, URL unknown: two round trips + 5 ms"),
    *(Target("cold-random 4k", link, "wandbfs", "ranges of 1 MiB", least=2, why="200 random 4 KiB, of ranges of 1 MiB")
      for link in ("0", "20")),
    Target("cold-random 4k fetched", "0", "wandbfs", most=32, why="fetched for 200 random 4 KiB"),
]

SMALL = [
    Target("cold-tar", "0", "wandbfs", "SDK download", least=8, why="cold tar of small files, of download()"),
    Target("cold-tar", "0", "wandbfs", "rclone off", least=2, why="cold tar of small files, of rclone's http remote"),
    Target("cold-tar", "20", "wandbfs", most=2, why="cold tar of small files at 20 ms, a file"),
    *(Target("cold-shuffled", link, "wandbfs", "wandbfs", other_job="cold-tar", least=0.7,
             why="the same in random order by four processes, of in order") for link in ("0", "20")),
    *(Target("epochs", link, name, "SDK download, then local", least=1,
             why=f"two epochs, {name}, of download and two local epochs")
      for link in ("0", "20") for name in ("wandbfs", "wandbfs train")),
]

LISTS = [
    *(Target("cold ls -lUR of 100,000", "0", name, "curl, manifest", plus=1,
             why=f"cold ls -l of 100,000, {name}: the manifest's transfer + 1 s")
      for name in ("wandbfs", "wandbfs train")),
    *(Target("warm ls -lUR of 100,000", "0", name, "local", least=0.5, why=f"warm ls -l of 100,000, {name}, of ext4")
      for name in ("wandbfs", "wandbfs train")),
]

MEMORY = [
    Target("memory idle", "0", "wandbfs", most=25, why="memory of an idle mount"),
    Target("memory 1 reader", "0", "wandbfs", most=128, why="memory of one cold reader"),
    *(Target(f"memory {readers}", "0", "wandbfs", most=BUDGET_MIB + BESIDE_BUDGET_MIB,
             why=f"memory of {readers}: the budget + 64 MiB") for readers in ("4 readers", "64 random readers")),
    Target("memory 1,000,000 listed", "0", "wandbfs", most=300, why="memory after 1,000,000 entries"),
]

TARGETS = [*WARM, *COLD, *SMALL, *LISTS, *MEMORY]
