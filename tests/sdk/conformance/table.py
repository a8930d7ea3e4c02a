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
`+` passed, `-` failed, `n/a` cannot be seen with that release (reason below), `·` not run,
or the server's alone.
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
        """The table, in the order that stood there `before`, whose cells stay unless this run filled them.
        Rows of tests that are gone stay too: a run of everything without the file begins anew."""
        sections = self._read(before)
        for title, rows in self.sections.items():
            for name, seen in rows.items():
                sections.setdefault(title, {}).setdefault(name, {}).update(seen)
        lines = [HEAD]
        for title, rows in sections.items():
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

    @staticmethod
    def _read(text: str) -> dict[str, dict[str, dict[str, str]]]:
        sections: dict[str, dict[str, dict[str, str]]] = {}
        title = ""
        for line in text.splitlines():
            if line.startswith("## "):
                title = line[3:]
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if line.startswith("| ") and len(cells) == 3 and cells[0] != "behaviour":
                sections.setdefault(title, {})[cells[0]] = dict(zip((CURRENT, OLDER), cells[1:]))
        return sections
