"""docs/CONFORMANCE.md: the outcome of the conformance tests as a table."""

from __future__ import annotations

import inspect

from operations import NEVER, OPERATIONS
from release import CURRENT, OLDER
from unconfirmed import UNCONFIRMED

HEAD = f"""# Conformance

What the unmodified SDK sees on `wandbfs serve`. Written by the run of `tests/sdk/conformance`
(`WANDBFS_WRITE_TABLE=1 scripts/test --slow`); do not edit. Each row is a test of that name.

{CURRENT} is the release this project follows; {OLDER} is one that still uploads from Python.
`+` passed, `-` failed, `n/a` does not apply to that release (reason below), empty: not run.
"""


class Table:
    """Collects outcomes; `text` renders them in the order of the tests."""

    def __init__(self):
        self.sections: dict[str, dict[str, dict[str, str]]] = {}
        self.reasons: dict[str, str] = {}

    def note(self, item, report) -> None:
        if report.when != "call" and report.passed:
            return
        title = inspect.getdoc(item.module).splitlines()[0].rstrip(".")
        behaviour = item.originalname.removeprefix("test_").replace("_", " ")
        if hasattr(item, "callspec"):
            parameters = {k: v for k, v in item.callspec.params.items() if k != "release"}
            behaviour += "".join(f" ({value})" for value in parameters.values())
            version = item.callspec.params.get("release", CURRENT)
        else:
            version = CURRENT
        if hasattr(report, "wasxfail") and report.skipped:
            outcome = "n/a"
            self.reasons[behaviour] = report.wasxfail
        else:
            outcome = {"passed": "+", "failed": "-"}.get(report.outcome, "")
        self.sections.setdefault(title, {}).setdefault(behaviour, {})[version] = outcome

    def text(self) -> str:
        lines = [HEAD]
        for title, rows in self.sections.items():
            lines += [f"\n## {title}\n", f"| behaviour | {CURRENT} | {OLDER} |", "|---|---|---|"]
            lines += [f"| {name} | {seen.get(CURRENT, '')} | {seen.get(OLDER, '')} |"
                      for name, seen in rows.items()]
        lines += [f"\n## Where {OLDER} differs\n", "| behaviour | reason |", "|---|---|"]
        lines += [f"| {name} | {reason} |" for name, reason in self.reasons.items()]
        lines += ["\n## Operations\n",
                  f"{len(OPERATIONS)} operations of SDK {CURRENT} about artifacts are each executed at least",
                  "once by these tests (`test_wire.py` compares). Never executed, with the reason:\n",
                  "| operation | reason |", "|---|---|"]
        lines += [f"| `{name}` | {reason} |" for name, reason in NEVER.items()]
        lines += ["\n## Unconfirmed\n",
                  "What no source settles about W&B itself; the tests accept what the second column says.\n",
                  "| question | here |", "|---|---|"]
        lines += [f"| {question} | {answer} |" for question, answer in UNCONFIRMED.items()]
        return "\n".join(lines) + "\n"
