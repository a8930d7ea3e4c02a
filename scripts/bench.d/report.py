"""From measured values to medians, ratios, targets, JSON and Markdown."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import statistics
import subprocess
from dataclasses import dataclass, field

# Units in which more is better; in all others less is.
MORE = {"MiB/s", "ops/s", "files/s"}


@dataclass
class Cell:
    """The values of one candidate at one job over one link."""

    job: str
    link: str
    candidate: str
    unit: str
    values: list[float] = field(default_factory=list)
    wrong: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the range as a part of the median."""
        if len(self.values) < 2 or not self.median:
            return 0.0
        return (max(self.values) - min(self.values)) / 2 / self.median


@dataclass(frozen=True)
class Target:
    """`candidate` must reach `least` times the speed of `other`, the best of several, at the same job or
    at `other_job`. Without `least` its time must not be above `times` that of the other `plus` so much
    on top; without another its value must not be above `most`."""

    job: str
    link: str
    candidate: str
    other: str | tuple[str, ...] | None = None
    least: float | None = None
    most: float | None = None
    times: float = 1.0
    plus: float = 0.0
    other_job: str | None = None
    why: str = ""


class Results:
    """All cells of a run."""

    def __init__(self):
        self.cells: dict[tuple[str, str, str], Cell] = {}
        self.seconds: dict[tuple[str, str], float] = {}

    def add(self, job: str, link: str, candidate: str, unit: str, value: float) -> None:
        key = (job, link, candidate)
        cell = self.cells.setdefault(key, Cell(job, link, candidate, unit))
        cell.values.append(value)

    def failed(self, job: str, link: str, candidate: str, why: str) -> None:
        key = (job, link, candidate)
        self.cells.setdefault(key, Cell(job, link, candidate, "")).wrong = why

    def failures(self) -> list[Cell]:
        """Candidates that failed, or gave wrong bytes, in any round."""
        return [cell for cell in self.cells.values() if cell.wrong]

    def get(self, job: str, link: str, candidate: str) -> Cell | None:
        cell = self.cells.get((job, link, candidate))
        return cell if cell and cell.values else None

    # -- targets --

    def judge(self, target: Target) -> dict | None:
        mine = self.get(target.job, target.link, target.candidate)
        if mine is None:
            return None
        if target.other is None:
            value, bound = mine.median, target.most
            return dict(value=value, bound=bound, unit=mine.unit, reached=value <= bound)
        names = (target.other,) if isinstance(target.other, str) else target.other
        others = [self.get(target.other_job or target.job, target.link, name) for name in names]
        others = [cell for cell in others if cell]
        if not others:
            return None
        best = min(others, key=lambda cell: speed_ratio(mine, cell))
        if target.least is None:
            bound = best.median * target.times + target.plus
            return dict(value=mine.median, bound=bound, unit=mine.unit, reached=mine.median <= bound)
        ratio = speed_ratio(mine, best)
        return dict(value=ratio, bound=target.least, unit="x", reached=ratio >= target.least)

    # -- output --

    def as_json(self, command: str, targets: list[Target]) -> dict:
        return {
            "command": command,
            "machine": machine(),
            "seconds": [dict(job=job, link=link, seconds=round(s)) for (job, link), s in self.seconds.items()],
            "results": [
                dict(job=c.job, link=c.link, candidate=c.candidate, unit=c.unit, values=c.values,
                     median=c.median if c.values else None, spread=c.spread if c.values else None,
                     failed=c.wrong)
                for c in self.cells.values()],
            "targets": [
                dict(job=t.job, link=t.link, candidate=t.candidate, other=t.other, why=t.why, **judged)
                for t in targets if (judged := self.judge(t))],
        }

    def as_markdown(self, command: str, targets: list[Target]) -> str:
        lines = [f"`{command}`", "", machine(), "",
                 "Medians; the spread is half the range as a part of the median, n the runs; the last",
                 "column is the speed relative to the first candidate of the job.", ""]
        jobs = dict.fromkeys((c.job, c.link) for c in self.cells.values())
        lines += ["| job | link | candidate | median | spread | n | relative |",
                  "|---|---|---|---|---|---|---|"]
        for job, link in jobs:
            cells = [c for c in self.cells.values() if (c.job, c.link) == (job, link)]
            first = next((c for c in cells if c.values), None)
            for cell in cells:
                if not cell.values:
                    lines.append(f"| {job} | {link} | {cell.candidate} | | | | |")
                    continue
                relative = f"{speed_ratio(cell, first):.2f}" if cell is not first else "1"
                lines.append(f"| {job} | {link} | {cell.candidate} | {number(cell.median)} {cell.unit} "
                             f"| {cell.spread:.0%} | {len(cell.values)} | {relative} |")
        judged = [(t, j) for t in targets if (j := self.judge(t))]
        if judged:
            lines += ["", "| what it must reach | link | measured | at least / at most | |",
                      "|---|---|---|---|---|"]
        for t, j in judged:
            lines.append(f"| {t.why} | {t.link} | {number(j['value'])} {j['unit']} "
                         f"| {number(j['bound'])} {j['unit']} | {'yes' if j['reached'] else 'NO'} |")
        left_out = dict.fromkeys(f"{t.why} ({t.link})" for t in targets if self.judge(t) is None)
        # In a run of a few jobs everybody knows.
        if 0 < len(left_out) < len(judged):
            lines += ["", "Not measured in this run: " + "; ".join(left_out) + "."]
        if failures := self.failures():
            lines += ["", "Failed:", ""]
            lines += [f"- {c.job} over {c.link}, {c.candidate}: {c.wrong}" for c in failures]
        return "\n".join(lines) + "\n"


def speed_ratio(mine: Cell, other: Cell) -> float:
    """How many times faster `mine` is."""
    a, b = mine.median, other.median
    if mine.unit in MORE:
        return a / b if b else float("inf")
    return b / a if a else float("inf")


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def machine() -> str:
    """Kind of machine, without a name that would identify it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} cores, {memory} GiB, Linux {kernel}, commit {commit()}"


def commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def write(results: Results, command: str, targets: list[Target], out: pathlib.Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(results.as_json(command, targets), indent=1) + "\n")
    out.with_suffix(".md").write_text(results.as_markdown(command, targets))
