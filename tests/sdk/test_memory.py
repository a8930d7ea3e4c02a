"""The resident memory of a mount at its peak: 1,000,000 entries, four sequential readers, and 64 random
ones."""

import concurrent.futures
import os
import pathlib
import random
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


BUDGET = 64 * 2**20
BESIDE = 64 * 2**20  # what a mount may take beside its buffers
LARGE = 96 * 2**20


@pytest.fixture(scope="module")
def large_files(module_server):
    """Four files that do not fit into the budget together, nor one by one."""
    contents = {f"large{n}.bin": random.Random(n).randbytes(LARGE + n) for n in range(4)}
    module_server.log_manifest("memory", "set", contents)
    return contents, ("--root", f"{module_server.entity}/memory/set:latest")


def peak_of(server, home, root, work) -> int:
    """The most that a mount took while `work` ran on it, in bytes."""
    guard = Mount(server, home, *root, "--memory", str(BUDGET), "--timeout", "5m")
    with guard as mount:
        idle = memory(guard.pid, "VmRSS")
        work(mount)
        peak = memory(guard.pid, "VmHWM")
    print(f"\nresident idle {idle >> 20} MiB, at the peak {peak >> 20} MiB, budget {BUDGET >> 20} MiB")
    return peak


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_sequential_readers_stay_within_the_budget_and_64_mib(module_server, large_files, home):
    contents, root = large_files

    def read(path: pathlib.Path) -> None:
        data, at = contents[path.name], 0
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                assert chunk == data[at:at + len(chunk)], f"{path.name} at {at}"
                at += len(chunk)
        assert at == len(data)

    def work(mount):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(read, [mount / name for name in contents]))

    assert peak_of(module_server, home, root, work) < BUDGET + BESIDE


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_64_random_readers_stay_within_the_budget_and_64_mib(module_server, large_files, home):
    contents, root = large_files

    def read(mount: pathlib.Path, number: int) -> None:
        choose = random.Random(number)
        name = choose.choice(list(contents))
        data = contents[name]
        with open(mount / name, "rb", buffering=0) as file:
            for _ in range(60):
                at = choose.randrange(len(data))
                size = choose.choice((4096, 131_072))
                file.seek(at)
                assert file.read(size) == data[at:at + size], f"{name} at {at}"

    def work(mount):
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda number: read(mount, number), range(64)))

    assert peak_of(module_server, home, root, work) < BUDGET + BESIDE
