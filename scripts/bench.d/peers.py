"""What the mount is measured beside: servers, mounts and daemons of others, each ended by pid and
unmounted whatever happens."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import harness

LAYERS = os.environ.get("WANDBFS_LAYERS", "")
# As the mount raises it for itself.
READ_AHEAD_KIB = 1024


@contextlib.contextmanager
def rclone(root: pathlib.Path, base: pathlib.Path, latency: float, cache: str):
    """`rclone mount` of its http remote over nginx; yields its process and the path of the files."""
    point = base / "mnt"
    point.mkdir()
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(nginx(root, base))
        if latency:
            port = stack.enter_context(delayed(port, latency))
        process = subprocess.Popen(
            ["rclone", "mount", f":http,url='http://127.0.0.1:{port}/':", str(point), "--read-only",
             "--vfs-cache-mode", cache, "--cache-dir", str(base / "cache"),
             "--config", str(base / "none.conf")],
            stdout=subprocess.DEVNULL, stderr=open(base / "log", "w"))
        yield stack.enter_context(mounted(process, point)), point


@contextlib.contextmanager
def daemon(how: str, file: pathlib.Path, base: pathlib.Path):
    """The bare FUSE daemon of benches/layers over one file, with the read-ahead of the mount;
    yields the path of the file there."""
    point = base / "mnt"
    point.mkdir()
    process = subprocess.Popen([LAYERS, "daemon", how, str(file), str(point)],
                               stdout=subprocess.DEVNULL, stderr=open(base / "log", "w"))
    with mounted(process, point):
        device = os.stat(point).st_dev
        ahead = pathlib.Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
        with contextlib.suppress(OSError):
            ahead.write_text(str(READ_AHEAD_KIB))
        yield point / "file"


@contextlib.contextmanager
def mounted(process: subprocess.Popen, point: pathlib.Path):
    """The block runs once `process` has mounted; then both go."""
    try:
        harness.wait_until(lambda: process.poll() is not None or harness.is_mounted(point), "it mounts")
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with {process.returncode}")
        yield process
    finally:
        subprocess.run(["umount", "-l", str(point)], capture_output=True)
        end(process)


@contextlib.contextmanager
def nginx(root: pathlib.Path, base: pathlib.Path):
    """nginx with listings over a directory; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The workers run as whoever runs this: the originals need not be readable to others.
    user = "user root;" if os.getuid() == 0 else ""
    (base / "nginx.conf").write_text(f"""
        {user} worker_processes 2; daemon off; pid {base}/nginx.pid; error_log {base}/error.log;
        events {{ worker_connections 1024; }}
        http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
            client_body_temp_path {base}/t1; proxy_temp_path {base}/t2; fastcgi_temp_path {base}/t3;
            uwsgi_temp_path {base}/t4; scgi_temp_path {base}/t5;
            server {{ listen 127.0.0.1:{port}; root {root}; autoindex on; }} }}""")
    process = subprocess.Popen(["nginx", "-c", str(base / "nginx.conf"), "-p", str(base)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: answers(port), "nginx answers")
        yield port
    finally:
        end(process)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def delayed(port: int, seconds: float):
    """A way to `port` on which each request arrives that much later; yields its port. What the
    server sends comes at once: one round trip per request, no limit of bandwidth."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink, delay):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                if delay:
                    time.sleep(delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for pair in ((client, server, seconds), (server, client, 0)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
