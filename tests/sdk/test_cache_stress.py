"""One cache directory, everybody at once: mounts that evict and die, prefetch, and the SDK."""

import json
import os
import pathlib
import signal
import subprocess
import threading

import pytest

from harness import BINARY, Mount, Server, sdk, wandbfs

FILES = 600
LIMIT = 8 << 10  # about half of the files together: eviction runs all the time

DOWNLOAD = """
    wandb.Api().artifact("scale/files:v0").download(root=target, skip_cache=False)
    """

# The SDK looks into the cache and copies a moment later, and does not bear that a file of ours is
# evicted in between; what it has copied it does not fetch again.
PATIENT_DOWNLOAD = """
    artifact = wandb.Api().artifact("scale/files:v0")
    for attempt in range(50):
        try:
            artifact.download(root=target, skip_cache=False)
            break
        except FileNotFoundError:
            continue
    else:
        raise AssertionError("every attempt lost a file")
    """


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server"), "--seed", f"files={FILES}") as running:
        yield running


def files_of(mount: pathlib.Path, server) -> pathlib.Path:
    return mount / server.entity / "scale" / "dataset" / "files" / "v0" / "files"


def walk(top: pathlib.Path) -> list[str]:
    return sorted(os.path.relpath(os.path.join(at, name), top)
                  for at, _, names in os.walk(top) for name in names)


class Reader(threading.Thread):
    """Reads every file again and again until told to stop; a mount that was killed ends it."""

    def __init__(self, top: pathlib.Path, names: list[str], truth: pathlib.Path):
        super().__init__()
        self.top, self.names, self.truth = top, names, truth
        self.wrong: list[str] = []
        self.done = self.died = 0
        self.stop = False
        self.start()

    def run(self):
        while not self.stop:
            for name in self.names:
                try:
                    data = (self.top / name).read_bytes()
                except OSError:
                    self.died = 1
                    return
                if data != (self.truth / name).read_bytes():
                    self.wrong.append(name)
                self.done += 1


def join(readers):
    for reader in readers:
        reader.stop = True
    for reader in readers:
        reader.join(120)


def test_mounts_that_evict_and_die_share_one_directory_with_the_sdk(seeded, home, tmp_path):
    truth = tmp_path / "truth"
    # Another cache, so that the shared one begins empty.
    alone = type(home)(tmp_path / "alone")
    sdk(DOWNLOAD, home=alone, server=seeded, target=truth)
    names = walk(truth)
    assert len(names) == FILES
    flags = ("--cache-limit", str(LIMIT))
    env = home.env(seeded)
    victim = Mount(seeded, home, *flags)
    fetching, readers = None, []
    try:
        with Mount(seeded, home, *flags) as first, Mount(seeded, home, *flags) as second:
            readers = [
                Reader(files_of(first, seeded), names, truth),
                Reader(files_of(second, seeded), names[::-1], truth),
                Reader(files_of(victim.path, seeded), names[::7] + names[3::5], truth),
            ]
            fetching = subprocess.Popen(
                [BINARY, "prefetch", *flags, f"{seeded.entity}/scale/files:v0"], env=env,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while readers[2].done < 50:
                assert readers[2].is_alive(), "the victim could not read"
            os.kill(victim.pid, signal.SIGKILL)
            sdk(PATIENT_DOWNLOAD, home=home, server=seeded, target=tmp_path / "down")
            join(readers)
            assert not any(reader.wrong for reader in readers)
            assert not readers[0].died and not readers[1].died
    finally:
        join(readers)
        if fetching:
            fetching.kill()
            fetching.wait()
        subprocess.run(["umount", "-l", str(victim.path)], capture_output=True)
    assert walk(tmp_path / "down") == names
    assert all((tmp_path / "down" / n).read_bytes() == (truth / n).read_bytes() for n in names)

    verified = json.loads(wandbfs("--json", "cache", "verify", env=env).stdout.splitlines()[-1])
    assert verified["corrupt"] == 0, verified
    lines = wandbfs("--json", "cache", "ls", env=env).stdout.splitlines()
    added = sum(entry["bytes"] for entry in map(json.loads, lines) if entry["by"] == "mount")
    assert added <= LIMIT
    # The next mount tidies up after the dead ones and reads on.
    with Mount(seeded, home, *flags) as mount:
        assert (files_of(mount, seeded) / names[0]).read_bytes() == (truth / names[0]).read_bytes()
    partial = home.cache / "wandbfs" / "partial"
    assert not partial.exists() or not list(partial.iterdir())
