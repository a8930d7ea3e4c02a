"""Entry of scripts/bench: chooses jobs and links, runs the rounds, writes the results."""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import sys
import time

from world import LINKS, REPOSITORY, Bench, say
from measure import JOBS, Job, Round
import jobs_warm, jobs_cold, jobs_small, jobs_list  # noqa: E401, F401  each registers its jobs, in this order
from report import Results, write
from targets import TARGETS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the mount beside its peers.")
    parser.add_argument("--job", action="append", metavar="PREFIX", help="only jobs that begin with this; may be repeated")
    parser.add_argument("--latency", "--link", action="append", dest="link", choices=LINKS, metavar="LINK",
                        help=f"only over these links: {', '.join(LINKS)}")
    parser.add_argument("--rounds", type=int, help="rounds of each job [default: 3, with --quick 1]")
    parser.add_argument("--large", type=int, metavar="MIB", help="size of the large file [default: 1024]")
    parser.add_argument("--small", type=int, default=10_000, metavar="N", help="small files [default: 10000]")
    parser.add_argument("--quick", action="store_true", help="one round, a large file of 256 MiB")
    parser.add_argument("--name", default="results", help="name of the results in docs/bench [default: results]")
    parser.add_argument("--out", type=pathlib.Path, help="another directory for the results")
    parser.add_argument("--list", action="store_true", help="name the jobs and their links, measure nothing")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.large = given.large or (256 if given.quick else 1024)
    return given


def is_chosen(name: str, job: Job, given: argparse.Namespace) -> bool:
    if given.job:
        return any(name.startswith(prefix) for prefix in given.job)
    return given.list or not job.asked_for


def run(bench: Bench, results: Results, name: str, job: Job, link: str, rounds: int) -> None:
    """All rounds of one job over one link."""
    say(f"{name} over {link}")
    begin = time.monotonic()
    for number in range(1 if job.once else rounds):
        # What the last one left to be written must not be paid by this one.
        os.sync()
        bench.warm_server()
        with bench.over(link):
            turn = Round(bench, results, name, link, number)
            with turn.candidate("the job"):
                job.measure(turn)
        bench.tidy()
    results.seconds[name, link] = time.monotonic() - begin


def main() -> int:
    given = arguments()
    chosen = {name: job for name, job in JOBS.items() if is_chosen(name, job, given)}
    if given.list:
        for name, job in chosen.items():
            print(f"{name:16} {','.join(job.links):22} {job.about}{' (asked for)' if job.asked_for else ''}")
        return 0
    # Told to end, it still unmounts and stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results, begin = Results(), time.monotonic()
    command = " ".join(["scripts/bench", *sys.argv[1:]])
    out = (given.out or REPOSITORY / "docs" / "bench") / given.name
    with Bench(REPOSITORY / "target" / "bench", given.large, given.small) as bench:
        for name, job in chosen.items():
            for link in job.links:
                if not given.link or link in given.link:
                    run(bench, results, name, job, link, given.rounds)
                    write(results, command, TARGETS, out)
    print(out.with_suffix(".md").read_text())
    say(f"{time.monotonic() - begin:.0f} s; {out.with_suffix('.md')} and .json")
    return 1 if results.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
