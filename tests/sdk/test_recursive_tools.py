"""Recursive tools delete nothing on the server (SEMANTICS 3): each is run for real against a
collection, a type, a project and the whole mount, and the server's state is compared."""

import errno
import os
import pathlib
import subprocess
import sys

import pytest

from harness import Home, Mount, Server
from live_sdk import LiveSdk
from terminal import Terminal

PROJECTS = ("keep", "keep-too")


class Guarded:
    def __init__(self, server: Server, home: Home, sdk: LiveSdk, mount: pathlib.Path):
        self.server, self.home, self.sdk, self.mount = server, home, sdk, mount
        self.collection = mount / server.entity / "keep" / "dataset" / "one"

    def at(self, level: str) -> pathlib.Path:
        return {"collection": self.collection, "type": self.collection.parent,
                "project": self.collection.parent.parent, "mount": self.mount}[level]

    def state(self):
        """Everything that the SDK can list: collections with tags and aliases, versions, links."""
        return self.sdk("""
            result = {}
            for project in projects:
                for kind in api.artifact_types(f"{entity}/{project}"):
                    for c in kind.collections():
                        result[f"{project}/{kind.name}/{c.name}"] = [
                            c.description, sorted(c.tags), sorted(c.aliases),
                            sorted((a.version, a.id, sorted(a.aliases), sorted(a.tags)) for a in c.artifacts())]
        """, entity=self.server.entity, projects=PROJECTS)


@pytest.fixture(scope="module")
def guarded(module_server, module_home):
    server = module_server
    for project in PROJECTS:
        for kind, name in [("dataset", "one"), ("dataset", "two"), ("model", "three")]:
            files = {"a.txt": f"{project}{kind}{name}".encode(), "d/b.txt": b"b"}
            server.log_manifest(project, name, files, artifact_type=kind)
    sdk = LiveSdk(module_home, server)
    try:
        sdk("""
            for project in projects:
                a = api.artifact(f"{entity}/{project}/one:v0")
                a.aliases.append("production")
                a.tags = ["kept"]
                a.save()
            a.link(f"{entity}/keep/folio")
        """, entity=server.entity, projects=PROJECTS)
        with Mount(server, module_home) as mount:
            yield Guarded(server, module_home, sdk, mount)
    finally:
        sdk.close()


@pytest.fixture(scope="module")
def before(guarded):
    state = guarded.state()
    assert state["keep/dataset/one"][3][0][2] == ["latest", "production"], state
    assert len(state) >= 5
    return state


@pytest.fixture
def unchanged(guarded, before):
    """The server is the same after the test."""
    yield
    assert guarded.state() == before
    assert os.readlink(guarded.collection / "production") == "v0"


LEVELS = pytest.mark.parametrize("level", ["collection", "type", "project", "mount"])


def run(*command, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=120, **options)


@LEVELS
@pytest.mark.parametrize("command", [
    ["rm", "-r"], ["rm", "-rf"], ["find", "{}", "-delete"],
    ["find", "{}", "-type", "l", "-delete"], ["find", "{}", "-mindepth", "1", "-maxdepth", "1", "-delete"],
], ids=" ".join)
def test_rm_and_find_delete_nothing(guarded, unchanged, level, command):
    path = str(guarded.at(level))
    command = [word.replace("{}", path) for word in command]
    done = run(*command, *([] if path in command else [path]))
    assert done.returncode != 0 and done.stderr


@LEVELS
@pytest.mark.parametrize("ignore", ["True", "False"])
def test_rmtree_deletes_nothing(guarded, unchanged, level, ignore):
    code = f"import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors={ignore})"
    done = run(sys.executable, "-c", code, guarded.at(level))
    assert (done.returncode == 0) == (ignore == "True"), done.stderr


@LEVELS
@pytest.mark.parametrize("when", ["--delete", "--delete-before", "--delete-after", "--delete-delay"])
def test_rsync_deletes_nothing(guarded, unchanged, tmp_path, level, when):
    done = run("rsync", "-a", when, "--force", "--ignore-errors", f"{tmp_path}/", f"{guarded.at(level)}/")
    assert done.returncode != 0, done.stdout


@LEVELS
def test_mv_to_another_file_system_deletes_nothing(guarded, unchanged, tmp_path, level):
    done = run("mv", guarded.at(level), tmp_path / "moved")
    assert done.returncode != 0
    if level == "collection":
        assert (tmp_path / "moved" / "v0" / "files" / "a.txt").read_text() == "keepdatasetone"


@LEVELS
def test_git_clean_deletes_nothing(guarded, unchanged, tmp_path, level):
    # The mount appears inside a work tree: by a bind mount where this may be done.
    tree = tmp_path / "tree"
    (tree / "data").mkdir(parents=True)
    env = {**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": "/dev/null"}
    assert run("git", "init", "-q", tree, env=env).returncode == 0
    # The directory itself as work tree, which needs no privilege.
    done = run("git", f"--git-dir={tree / '.git'}", f"--work-tree={guarded.at(level)}", "clean", "-ffdx",
               cwd=guarded.at(level), env=env)
    assert done.returncode != 0 and "emov" in done.stdout + done.stderr, done
    bound = run("mount", "--bind", guarded.at(level), tree / "data")
    if bound.returncode != 0:
        assert os.geteuid() != 0, bound.stderr  # only root may
        return
    try:
        done = run("git", "clean", "-ffdx", cwd=tree, env=env)
        assert "data" in done.stdout + done.stderr
    finally:
        assert run("umount", tree / "data").returncode == 0


@LEVELS
def test_file_managers_delete_nothing(guarded, unchanged, tmp_path, level):
    path = guarded.at(level)
    env = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    for verb in (["remove"], ["remove", "-f"], ["trash"]):
        done = run("gio", *verb, path, env=env)
        assert done.returncode != 0 and done.stderr, verb
    if level == "mount":
        return
    env = dict(HOME=str(tmp_path), TERM="xterm", PATH=os.environ["PATH"], LANG="C.UTF-8")
    with Terminal(["mc", "-d", "-u", "-a", str(path.parent), str(tmp_path)], env=env) as mc:
        mc.expect("Quit")
        mc.send(b"\x13" + path.name.encode())  # C-s: go to the entry of this name
        mc.send(b"\x1b8")  # F8: delete
        mc.expect("Delete")
        mc.send(b"\r")
        mc.expect("recursively")
        mc.send(b"\t\t\r")  # not "Yes", not "No": all of them
        mc.expect("Cannot remove")
        mc.send(b"\t\r")  # not "Skip": all of them
        mc.until(b"\x1b[29;3H")  # it is done when the cursor is back behind the prompt
        mc.send(b"\x1b0")  # F10: quit
        assert mc.wait() == 0


@LEVELS
def test_what_removes_first_and_lists_later_deletes_nothing(guarded, unchanged, tmp_path, level):
    """The way of `fs.rm(path, { recursive: true })` of Node.js, by a program of that name."""
    (tmp_path / "node").symlink_to(sys.executable)
    code = """
import os, sys
def remove(path):
    try:
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    except OSError as error:
        if os.path.isdir(path) and not os.path.islink(path):
            for name in os.listdir(path):
                remove(os.path.join(path, name))
remove(sys.argv[1])
"""
    done = subprocess.run([tmp_path / "node", "-c", code, guarded.at(level)], timeout=120)
    assert done.returncode == 0


def test_plain_removal_of_a_name_works_in_a_process_that_listed_something_else(guarded, before):
    server = guarded.server
    for name in ("by-shell", "by-python", "by-os"):
        server.log_manifest("keep", name, {"a": name.encode()}, artifact_type="doomed")
    doomed = guarded.at("project") / "doomed"
    assert run("bash", "-c", 'cd "$1" && ls by-shell >/dev/null && rm by-shell/latest && rmdir by-*shell',
               "-", doomed).stderr == ""
    code = """
import os, sys
os.listdir(os.path.dirname(sys.argv[1]))
os.unlink(sys.argv[1] + "/latest")
os.rmdir(sys.argv[1])
"""
    assert run(sys.executable, "-c", code, doomed / "by-python").stderr == ""
    os.rmdir(doomed / "by-os")
    left = guarded.state()
    assert {key: left[key] for key in before} == before
    assert not [key for key in left if "by-" in key]


def test_who_has_listed_a_directory_gets_the_reason_and_the_way_out(guarded, unchanged):
    code = """
import errno, os, sys
os.listdir(sys.argv[1])
for call, number in [(lambda: os.rmdir(sys.argv[1]), errno.ENOTEMPTY),
                     (lambda: os.unlink(sys.argv[1] + "/production"), errno.EPERM)]:
    try:
        call()
    except OSError as error:
        assert error.errno == number, error
        print(os.getxattr(sys.argv[1], "user.wandbfs.error").decode())
"""
    done = run(sys.executable, "-c", code, guarded.collection)
    assert done.returncode == 0, done.stderr
    reasons = done.stdout.splitlines()
    assert len(reasons) == 2
    for word in ("rmdir", "--allow-recursive-delete"):
        assert word in reasons[0], reasons
    log = (guarded.mount / ".wandbfs" / "errors.log").read_text()
    assert '"ENOTEMPTY"' in log and "--allow-recursive-delete" in log


def test_a_mount_that_allows_it_lets_rm_delete(guarded, before):
    guarded.server.log_manifest("keep", "gone", {"a": b"gone"}, artifact_type="doomed")
    with Mount(guarded.server, guarded.home, "--allow-recursive-delete") as mount:
        path = mount / (guarded.at("project") / "doomed" / "gone").relative_to(guarded.mount)
        code = "import os, sys; os.listdir(sys.argv[1]); os.rmdir(sys.argv[1])"
        assert run(sys.executable, "-c", code, path).stderr == ""
    assert guarded.state() == before
