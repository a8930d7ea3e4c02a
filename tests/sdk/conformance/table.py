"""docs/CONFORMANCE.md: the outcome of the conformance tests as a table."""

from __future__ import annotations

import inspect

from differences import DIFFERENCES
from operations import NEVER, OPERATIONS, SLOW
from release import CURRENT, OLDER
from unconfirmed import UNCONFIRMED

HEAD = f"""# Conformance

What the unmodified SDK sees on `wandbfs serve`. Written by the run of `tests/sdk/conformance`
(`WANDBFS_WRITE_TABLE=1 scripts/test --slow`); do not edit. Each row is a test of that name.

{CURRENT} is the release this project follows; {OLDER} is one that still uploads from Python.
`+` passed, `-` failed, `n/a` cannot be seen with that release (reason below), `·` not run.
"""


def words(test: str) -> str:
    """A test's name as the behaviour it stands for."""
    return test.removeprefix("test_").replace("_", " ")


class Table:
    """Collects outcomes; `text` renders them in the order of the tests."""

    def __init__(self):
        self.sections: dict[str, dict[str, dict[str, str]]] = {}

    def note(self, item, report) -> None:
        if report.when != "call" and report.passed:
            return
        title = inspect.getdoc(item.module).splitlines()[0].rstrip(".")
        behaviour = words(item.originalname)
        if hasattr(item, "callspec"):
            parameters = {k: v for k, v in item.callspec.params.items() if k != "release"}
            behaviour += "".join(f" ({value})" for value in parameters.values())
            version = item.callspec.params.get("release", CURRENT)
        else:
            version = CURRENT
        if hasattr(report, "wasxfail") and report.skipped:
            outcome = "n/a"
        else:
            outcome = {"passed": "+", "failed": "-"}.get(report.outcome, "·")
        self.sections.setdefault(title, {}).setdefault(behaviour, {})[version] = outcome

    def text(self, before: str = "") -> str:
        """The table; a cell that this run did not fill keeps what stood there `before`."""
        self._keep(before)
        lines = [HEAD]
        for title, rows in self.sections.items():
            lines += [f"\n## {title}\n", f"| behaviour | {CURRENT} | {OLDER} |", "|---|---|---|"]
            lines += [f"| {name} | {seen.get(CURRENT, '·')} | {seen.get(OLDER, '·')} |"
                      for name, seen in rows.items()]
        lines += [f"\n## Where {OLDER} differs\n", "| behaviour | reason |", "|---|---|"]
        lines += [f"| {words(test)} | {reason} |" for test, reason in DIFFERENCES.items()]
        lines += ["\n## Operations\n",
                  f"SDK {CURRENT} has {len(OPERATIONS)} operations about artifacts; `test_wire.py` fails if these tests",
                  "execute fewer. Executed only by tests marked slow, or never, with the reason:\n",
                  "| operation | reason |", "|---|---|"]
        lines += [f"| `{name}` | {reason} |" for name, reason in {**SLOW, **NEVER}.items()]
        lines += ["\n## Unconfirmed\n",
                  "What no source settles about W&B itself; the tests accept what the second column says.\n",
                  "| question | here |", "|---|---|"]
        lines += [f"| {question} | {answer} |" for question, answer in UNCONFIRMED.items()]
        return "\n".join(lines) + "\n"

    def _keep(self, before: str) -> None:
        title = ""
        for line in before.splitlines():
            if line.startswith("## "):
                title = line[3:]
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if line.startswith("| ") and len(cells) == 3 and cells[0] != "behaviour":
                row = self.sections.setdefault(title, {}).setdefault(cells[0], {})
                for version, cell in zip((CURRENT, OLDER), cells[1:]):
                    row.setdefault(version, cell)
