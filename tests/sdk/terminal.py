"""A program in a terminal: keys go in, what the screen got comes out. Waits on what appears, never
on time."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

DEADLINE = 60


class Terminal:
    def __init__(self, command: list[str], env: dict | None = None, cwd: str | None = None):
        self.seen = b""
        self.position = 0
        self.status: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                if cwd:
                    os.chdir(cwd)
                os.execvpe(command[0], command, env or os.environ)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _read(self, patience: float) -> bool:
        """Takes in what there is; whether there can be more."""
        ready, _, _ = select.select([self.fd], [], [], patience)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # the other side is closed
            return False
        self.seen += data
        return bool(data)

    @property
    def text(self) -> str:
        """What was written since the last match, without control sequences."""
        text = self.seen[self.position:].decode(errors="replace")
        return re.sub(r"\x1b(\[[0-9;?>]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])", "", text)

    def expect(self, *words: str) -> str:
        """Waits until one of the words has appeared since the last match, and gives it."""
        end = time.monotonic() + DEADLINE
        while True:
            text = self.text
            for word in words:
                if word in text:
                    self.position = len(self.seen)
                    return word
            if time.monotonic() > end or not self._read(0.2):
                raise AssertionError(f"none of {words} appeared: {text[-2000:]!r}")

    def until(self, sequence: bytes) -> None:
        """Waits for a control sequence after the last match."""
        end = time.monotonic() + DEADLINE
        while sequence not in self.seen[self.position:]:
            if time.monotonic() > end or not self._read(0.2):
                raise AssertionError(f"{sequence!r} did not come: {self.text[-2000:]!r}")
        self.position = len(self.seen)

    def send(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def wait(self) -> int:
        """Waits for the end of the program; its exit code."""
        end = time.monotonic() + DEADLINE
        while self.status is None:
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise AssertionError(f"it does not end: {self.text[-2000:]!r}")
        return self.status
