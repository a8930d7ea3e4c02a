"""What a manifest of 1,000,000 entries adds to the resident memory of a mount, at its peak."""

import os
import pathlib
import subprocess

import pytest

from harness import Mount, Server

ENTRIES = 1_000_000
LIMIT = 300 * 2**20


def memory(pid: int, field: str) -> int:
    """`VmRSS` or `VmHWM` of a process, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_entries_add_at_most_300_mib(home, tmp_path):
    with Server(tmp_path / "data", "--seed", f"files={ENTRIES}") as server:
        guard = Mount(server, home, "--timeout", "5m")
        with guard as mount:
            files = mount / server.entity / "scale" / "dataset" / "files" / "v0" / "files"
            os.stat(files.parent)
            before = memory(guard.pid, "VmRSS")
            found = subprocess.run(["find", files, "-type", "f"], capture_output=True, check=True)
            assert found.stdout.count(b"\n") == ENTRIES
            peak = memory(guard.pid, "VmHWM")
    print(f"\nresident before {before >> 20} MiB, at the peak {peak >> 20} MiB")
    assert peak - before <= LIMIT
