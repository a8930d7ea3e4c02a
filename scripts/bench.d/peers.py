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
import s3

LAYERS = os.environ.get("WANDBFS_LAYERS", "")
# As the mount raises it for itself.
READ_AHEAD_KIB = 1024


@contextlib.contextmanager
def rclone(root: pathlib.Path, base: pathlib.Path, latency: float, cache: str):
    """`rclone mount` of its http remote over nginx; yields the path of the files."""
    autoindex = f"location / {{ root {root}; autoindex on; }}"
    with nginx(autoindex, base, latency) as port:
        command = ["rclone", "mount", f":http,url='http://127.0.0.1:{port}/':", "{point}", "--read-only",
                   "--vfs-cache-mode", cache, "--cache-dir", str(base / "cache"),
                   "--config", str(base / "none.conf")]
        with mounted(command, base) as point:
            yield point


@contextlib.contextmanager
def mount_s3(root: pathlib.Path, base: pathlib.Path, latency: float):
    """`mount-s3` without a cache, as it is by default; yields the path of the files."""
    with s3.listed(root) as lister, nginx(bucket_of(root, lister), base, latency) as port:
        command = ["mount-s3", s3.BUCKET, "{point}", "--foreground", "--read-only", "--no-sign-request",
                   "--endpoint-url", f"http://127.0.0.1:{port}", "--region", "us-east-1",
                   "--force-path-style"]
        with mounted(command, base) as point:
            yield point


def bucket_of(root: pathlib.Path, lister: int) -> str:
    """Locations of nginx in which the files below `root` are the objects of a bucket."""
    return f"""
        location = /{s3.BUCKET} {{ proxy_pass http://127.0.0.1:{lister}; }}
        location /{s3.BUCKET}/ {{
            if ($args ~ "list-type") {{ proxy_pass http://127.0.0.1:{lister}; }}
            alias {root}/;
        }}"""


@contextlib.contextmanager
def daemon(how: str, file: pathlib.Path, base: pathlib.Path):
    """The bare FUSE daemon of scripts/bench.d/layers over one file, with the read-ahead of the mount;
    yields the path of the file there."""
    with mounted([LAYERS, "daemon", how, str(file), "{point}"], base) as point:
        device = os.stat(point).st_dev
        ahead = pathlib.Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
        with contextlib.suppress(OSError):
            ahead.write_text(str(READ_AHEAD_KIB))
        yield point / "file"


@contextlib.contextmanager
def mounted(command: list[str], base: pathlib.Path):
    """Runs a command that mounts at `{point}`, below `base`; yields that path once it has."""
    point = base / "mnt"
    point.mkdir()
    with open(base / "log", "w") as log:
        process = subprocess.Popen([part.replace("{point}", str(point)) for part in command],
                                   stdout=log, stderr=log)
    try:
        harness.wait_until(lambda: process.poll() is not None or harness.is_mounted(point), "it mounts")
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended: {(base / 'log').read_text()}")
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], capture_output=True)
        end(process)


@contextlib.contextmanager
def nginx(locations: str, base: pathlib.Path, latency: float):
    """nginx with these locations behind a latency in seconds; yields the port."""
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
            server {{ listen 127.0.0.1:{port}; {locations} }} }}""")
    process = subprocess.Popen(["nginx", "-c", str(base / "nginx.conf"), "-p", str(base)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: answers(port), "nginx answers")
        with delayed(port, latency) if latency else contextlib.nullcontext(port) as way:
            yield way
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
