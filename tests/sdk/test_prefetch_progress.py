"""`wandbfs prefetch` in a terminal: one line that changes, with bytes, files, rate and time left."""

import re

from harness import BINARY
from terminal import Terminal


def test_the_line_changes_in_place_and_is_gone_at_the_end(module_server, home):
    module_server.log_manifest("progress", "set", {"large": bytes(1_500_000), "small": b"x"})
    version = f"{module_server.entity}/progress/set:latest"
    with module_server.knobs(bytes_per_s=700_000):
        with Terminal([BINARY, "prefetch", version], env=home.env(module_server)) as terminal:
            terminal.expect(" left")
            line = terminal.seen.decode().split("\r")[-1]
            form = r"[\d.]+ ([KM]i)?B of 1\.4 MiB, [01] of 2 files, [\d.]+ ([KM]i)?B/s, [\d:]+ left"
            assert re.match(form, line), line
            assert terminal.wait() == 0
            assert re.search(r"\r\x1b\[K.*2 files, 1\.4 MiB in [\d.]+ s, 0 failed", terminal.seen.decode())
            assert "\n" not in terminal.seen.decode().split("2 files, 1.4 MiB in")[0].strip()
