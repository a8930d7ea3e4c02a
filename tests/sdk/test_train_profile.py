"""`--profile train`: files that the kernel reads without opening them are right, all the same."""

import errno
import os
import pathlib

from harness import Home, Mount, wait_until

TRAIN = ("--profile", "train", "--read-only")
SMALL = {f"d{n % 5}/f{n:03}.txt": f"sample {n}\n".encode() * (n + 1) for n in range(40)}
LARGE = bytes(range(256)) * 4096 * 12  # 12 MiB: read in ranges, unverified until its end


def logged(server, project: str, contents: dict) -> tuple[str, str]:
    server.log_manifest(project, "set", contents)
    return "--root", f"{server.entity}/{project}/set:latest"


def same(root: pathlib.Path, contents: dict) -> None:
    found = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    assert found == set(contents)
    for name, data in contents.items():
        assert (root / name).read_bytes() == data, name


def test_everything_is_read_right_and_the_second_time_without_a_request(module_server, tmp_path):
    contents = {**SMALL, "large.bin": LARGE}
    root = logged(module_server, "train-right", contents)
    with Mount(module_server, Home(tmp_path / "home"), *TRAIN, *root) as mount:
        same(mount, contents)
        with open(mount / "large.bin", "rb") as file:
            file.seek(5_000_001)
            assert file.read(100) == LARGE[5_000_001:5_000_101]
        with module_server.counted() as seen:
            same(mount, contents)
        assert seen["graphql"] == seen["manifest"] == seen["blob"] == 0, seen
        try:
            os.getxattr(mount / "large.bin", "user.wandb.digest")
            raise AssertionError("there are no attributes here")
        except OSError as error:
            assert error.errno == errno.ENOTSUP


def test_wrong_bytes_are_eio_and_do_not_stay_in_the_page_cache(module_server, tmp_path):
    contents = {**{name: b"wrong " + data for name, data in SMALL.items()}, "large.bin": b"x" + LARGE}
    root = logged(module_server, "train-wrong", contents)
    small = next(iter(SMALL))

    def refused(path) -> bool:
        try:
            path.read_bytes()
        except OSError as error:
            return error.errno == errno.EIO
        return False

    with Mount(module_server, Home(tmp_path / "home"), *TRAIN, *root) as mount:
        with module_server.knobs(faults=[dict(match="blob", count=10_000, kind="corrupt")]):
            assert refused(mount / small), "a small file is checked before its first byte"
            # A large one may give its beginning before it is known to be wrong, but not for long.
            wait_until(lambda: refused(mount / "large.bin"), "the large file is refused")
            assert refused(mount / "large.bin"), "it stays refused"
        for name in (small, "large.bin"):
            wait_until(lambda: not refused(mount / name), f"{name} is fetched again")
            assert (mount / name).read_bytes() == contents[name]


def test_files_are_opened_where_the_manifest_leaves_something_open(module_server, tmp_path):
    unknown = {"ref": "http://127.0.0.1:9/x", "digest": "etag", "size": 0}
    root = logged(module_server, "train-refused", {**SMALL, "reference": unknown})
    mount = Mount(module_server, Home(tmp_path / "home"), *TRAIN, *root)
    with mount as path:
        for name, data in SMALL.items():
            assert (path / name).read_bytes() == data
    log = pathlib.Path(mount.ready["log_file"]).read_text()
    assert "every file is opened" in log and "size" in log, log
