"""Real editors and tools, in a terminal, on a metadata file (SEMANTICS 3)."""

import json
import os
import pathlib
import subprocess
import zlib

import pytest

from harness import Mount, wait_until
from live_sdk import LiveSdk
from terminal import Terminal

NAME = "collection.json"


@pytest.fixture(scope="module")
def bench(module_server, module_home):
    sdk = LiveSdk(module_home, module_server)
    try:
        with Mount(module_server, module_home) as mount:
            yield module_server, module_home, sdk, mount
    finally:
        sdk.close()


class Desk:
    """A collection whose description is `first draft`, and what the SDK says of it."""

    def __init__(self, bench, name: str):
        self.server, self.home, self.sdk, mount = bench
        self.server.log_manifest("edit", name, {"a": name.encode()})
        self.path = f"{self.server.entity}/edit/{name}"
        self.sdk("""
            c = api.artifact_collection("dataset", path)
            c.description = "first draft"
            c.save()
        """, path=self.path)
        self.directory = mount / self.server.entity / "edit" / "dataset" / name
        self.file = self.directory / NAME
        assert "first draft" in self.file.read_text()

    def env(self) -> dict:
        return dict(HOME=str(self.home.root), TERM="xterm", PATH=os.environ["PATH"], LANG="C.UTF-8")

    def shell(self, script: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(["bash", "-c", script], cwd=self.directory, env=self.env(),
                              capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done

    def says(self) -> str:
        return self.sdk.collection(self.path)["description"]

    def settles_to(self, description: str) -> None:
        assert self.says() == description
        assert json.loads(self.file.read_text())["description"] == description
        assert not (self.directory / f"{NAME}.rejected").exists()


@pytest.fixture
def desk(bench, request):
    return Desk(bench, f"e{zlib.crc32(request.node.nodeid.encode())}")


@pytest.mark.parametrize("settings", [
    "", "set backup writebackup backupcopy=no", "set backup writebackup backupcopy=yes",
    "set nowritebackup noswapfile",
], ids=["default", "rename", "copy", "plain"])
def test_vim_saves(desk, settings):
    setup = ["-c", settings] if settings else []
    with Terminal(["vim", "-u", "NONE", "-N", "-i", "NONE", *setup, NAME],
                  env=desk.env(), cwd=desk.directory) as vim:
        vim.expect("first draft")
        vim.send(b":%s/first draft/by vim/\r:w\r")
        vim.expect("written")
        assert desk.says() == "by vim"
        vim.send(b":q\r")
        assert vim.wait() == 0
    desk.settles_to("by vim")


def test_vim_saves_again_and_again_in_one_session(desk):
    with Terminal(["vim", "-u", "NONE", "-N", "-i", "NONE", NAME],
                  env=desk.env(), cwd=desk.directory) as vim:
        vim.expect("first draft")
        for old, new in (("first draft", "second"), ("second", "third"), ("third", "fourth")):
            vim.send(f":%s/{old}/{new}/\r:w\r".encode())
            assert vim.expect("written", "changed since", "rror") == "written"
            assert desk.says() == new
        vim.send(b":q\r")
        assert vim.wait() == 0
    desk.settles_to("fourth")


def test_vim_shows_why_it_could_not_save(desk):
    with Terminal(["vim", "-u", "NONE", "-N", "-i", "NONE", NAME], env=desk.env(),
                  cwd=desk.directory) as vim:
        vim.expect("first draft")
        vim.send(b":%s/\"first draft\"/not json/\r:w\r")
        assert vim.expect("E667", "E512", "E514", "E212", "rror", "written")  != "written"
        assert desk.says() == "first draft"
        vim.send(b"\r:%s/not json/\"mended\"/\r:wq!\r")
        assert vim.wait() == 0
    assert desk.says() == "mended"


def test_nano_saves(desk):
    with Terminal(["nano", "--ignorercfiles", NAME], env=desk.env(), cwd=desk.directory) as nano:
        nano.expect("first draft")
        nano.send(b"\x1c")  # C-\: replace
        nano.expect("Search")
        nano.send(b"first draft\r")
        nano.expect("Replace with")
        nano.send(b"by nano\r")
        nano.expect("instance?")
        nano.send(b"A")
        nano.expect("eplaced")
        nano.send(b"\x0f")  # C-o: write out
        nano.expect("Write")
        nano.send(b"\r")
        nano.expect("Wrote")
        nano.send(b"\x18")
        assert nano.wait() == 0
    desk.settles_to("by nano")


@pytest.mark.parametrize("setup", [
    "t", "(setq backup-by-copying t)", "(setq make-backup-files nil)",
], ids=["rename", "copy", "plain"])
def test_emacs_saves(desk, setup):
    with Terminal(["emacs", "-nw", "-Q", "--eval", setup, NAME], env=desk.env(),
                  cwd=desk.directory) as emacs:
        emacs.expect("first draft")
        emacs.send(b"\x1bxreplace-string\rfirst draft\rby emacs\r")
        emacs.expect("by emacs")
        emacs.send(b"\x18\x13")  # C-x C-s
        emacs.expect("Wrote")
        assert desk.says() == "by emacs"
        emacs.send(b"\x18\x03")  # C-x C-c
        assert emacs.wait() == 0
    desk.settles_to("by emacs")


CHANGE = "s/first draft/changed/"

TOOLS = {
    "sed": f"sed -i '{CHANGE}' {NAME}",
    "sed with a backup": f"sed -i.bak '{CHANGE}' {NAME}",
    "jq and mv beside": f"jq '.description = \"changed\"' {NAME} > tmp.json && mv tmp.json {NAME}",
    "jq and mv from elsewhere": f"jq '.description = \"changed\"' {NAME} > $HOME/t.json && mv $HOME/t.json {NAME}",
    "sponge": f"jq '.description = \"changed\"' {NAME} | sponge {NAME}",
    "tee": f"sed '{CHANGE}' {NAME} > $HOME/t.json && tee {NAME} < $HOME/t.json > /dev/null",
    "cp": f"sed '{CHANGE}' {NAME} > $HOME/o.json && cp $HOME/o.json {NAME}",
    "cp -a": f"sed '{CHANGE}' {NAME} > $HOME/o.json && cp -a $HOME/o.json {NAME}",
    "cp --remove-destination": f"sed '{CHANGE}' {NAME} > $HOME/o.json && cp --remove-destination $HOME/o.json {NAME}",
    "echo": f"text=$(sed '{CHANGE}' {NAME}); echo \"$text\" > {NAME}",
    "dd": f"sed '{CHANGE}' {NAME} > $HOME/o.json && dd if=$HOME/o.json of={NAME} status=none",
    "rsync": f"sed '{CHANGE}' {NAME} > $HOME/o.json && rsync $HOME/o.json {NAME}",
    "install": f"sed '{CHANGE}' {NAME} > $HOME/o.json && install -m 644 $HOME/o.json {NAME}",
    "python": f"python3 -c 'import json; d = json.load(open(\"{NAME}\")); d[\"description\"] = \"changed\"; "
              f"json.dump(d, open(\"{NAME}\", \"w\"), indent=4)'",
    "python with a temporary file": "python3 -c 'import json, os, tempfile; "
              f"d = json.load(open(\"{NAME}\")); d[\"description\"] = \"changed\"; "
              "t = tempfile.NamedTemporaryFile(\"w\", dir=\".\", delete=False); json.dump(d, t); t.flush(); "
              f"os.fsync(t.fileno()); t.close(); os.replace(t.name, \"{NAME}\")'",
    "ed": f"printf '%s\\n' '1,$s/first draft/changed/' w q | ed -s {NAME}",
    "perl": f"perl -pi -e '{CHANGE}' {NAME}",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_save(desk, tool):
    desk.shell(TOOLS[tool])
    desk.settles_to("changed")


def test_files_beside_a_metadata_file_live_in_memory_only(desk):
    desk.shell("echo note > note.txt && cp note.txt copy.txt && mv copy.txt other.txt && "
               "ln -s user@host.1:2 .#lock && cat other.txt && test note = $(cat note.txt) && "
               "echo more >> note.txt && test $(wc -l < note.txt) = 2 && ls")
    names = desk.shell("ls -A").stdout.split()
    assert {"note.txt", "other.txt", ".#lock"} <= set(names) and "copy.txt" not in names
    seen = desk.sdk.collection(desk.path)
    assert seen["versions"] == {"v0": ["latest"]} and seen["aliases"] == ["latest"]
    with Mount(desk.server, desk.home) as other:
        there = other / pathlib.Path(*desk.directory.parts[-4:])
        assert not {"note.txt", "other.txt", ".#lock"} & set(os.listdir(there))
    desk.shell("rm note.txt other.txt .#lock")
    assert not os.path.lexists(desk.directory / "note.txt")


def test_a_metadata_file_taken_away_comes_back(desk):
    desk.shell(f"mv {NAME} saved.json && cp saved.json {NAME}")
    desk.settles_to("first draft")
    desk.shell(f"rm {NAME}")
    wait_until(lambda: desk.file.exists(), "the metadata file", deadline=120)
    desk.settles_to("first draft")


def test_a_tool_that_checks_close_fails_with_the_text(desk):
    done = desk.shell(f"echo '{{' > $HOME/bad.json; cp $HOME/bad.json {NAME}", check=False)
    assert done.returncode != 0 and NAME in done.stderr
    wait_until((desk.directory / f"{NAME}.rejected").exists, "the rejected text")
    assert (desk.directory / f"{NAME}.rejected").read_text() == "{\n"
    done = desk.shell(f"echo '{{' > tmp.json && mv tmp.json {NAME}", check=False)
    assert done.returncode != 0
    assert json.loads(desk.file.read_text())["description"] == "first draft"
    reason = os.getxattr(desk.file, "user.wandbfs.error").decode()
    assert "JSON" in reason
