"""Entry of scripts/bench: chooses jobs and links, runs the rounds, writes the results."""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import sys
import time

from report import Results, write
from world import LINKS, REPOSITORY, Bench, say
from jobs import JOBS, TARGETS, Round


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the mount beside its peers.")
    parser.add_argument("--job", action="append", metavar="PREFIX", help="only jobs that begin with this; may be repeated")
    parser.add_argument("--latency", "--link", action="append", dest="link", choices=LINKS, metavar="LINK",
                        help=f"only over these links: {', '.join(LINKS)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each job [default: 3]")
    parser.add_argument("--large", type=int, metavar="MIB", help="size of the large file [default: 1024]")
    parser.add_argument("--small", type=int, default=10_000, metavar="N", help="small files [default: 10000]")
    parser.add_argument("--quick", action="store_true", help="one round, a large file of 256 MiB")
    parser.add_argument("--name", default="results", help="name of the results in docs/bench [default: results]")
    parser.add_argument("--out", type=pathlib.Path, help="another directory for the results")
    parser.add_argument("--list", action="store_true", help="name the jobs and their links, measure nothing")
    given = parser.parse_args()
    if given.quick:
        given.rounds = 1
    given.large = given.large or (256 if given.quick else 1024)
    return given


def is_chosen(name: str, asked_for: bool, given: argparse.Namespace) -> bool:
    if given.job:
        return any(name.startswith(prefix) for prefix in given.job)
    return given.list or not asked_for


def main() -> int:
    given = arguments()
    chosen = {
        name: (measure, [link for link in links if not given.link or link in given.link])
        for name, (measure, links, asked_for) in JOBS.items()
        if is_chosen(name, asked_for, given)
    }
    if given.list:
        for name, (measure, links) in chosen.items():
            print(f"{name:16} {','.join(links):14} {' '.join((measure.__doc__ or '').split())}")
        return 0
    # Told to end, it still unmounts and stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results, begin = Results(), time.monotonic()
    command = " ".join(["scripts/bench", *sys.argv[1:]])
    out = (given.out or REPOSITORY / "docs" / "bench") / given.name
    with Bench(REPOSITORY / "target" / "bench", given.large, given.small) as bench:
        for name, (measure, links) in chosen.items():
            for link in links:
                say(f"{name} over {link}")
                for number in range(given.rounds):
                    # What the last one left to be written must not be paid by this one.
                    os.sync()
                    with bench.over(link):
                        turn = Round(bench, results, name, link, number, given.quick)
                        with turn.candidate("the job"):
                            measure(turn)
                write(results, command, TARGETS, out)
    print(out.with_suffix(".md").read_text())
    say(f"{time.monotonic() - begin:.0f} s; {out.with_suffix('.md')} and .json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
