"""What a program does with a file system, in a process of its own: `reader.py OP JSON` prints the
measured seconds (or a rate) as JSON. It never remembers anything of an earlier measurement."""

from __future__ import annotations

import hashlib
import json
import mmap
import multiprocessing
import os
import pathlib
import random
import struct
import sys
import time

BLOCK = 1 << 20


def sequential(path: str, readers: int = 1) -> float:
    """Reads the file once, each reader a part of its own."""
    size = os.stat(path).st_size
    share = -(-size // readers)

    def read(n: int, gate) -> None:
        buffer = bytearray(BLOCK)
        gate.wait()
        with open(path, "rb", buffering=0) as file:
            at, to = n * share, min(size, (n + 1) * share)
            while at < to:
                got = os.preadv(file.fileno(), [memoryview(buffer)[:min(BLOCK, to - at)]], at)
                if got == 0:
                    raise EOFError(path)
                at += got

    return together(readers, read)


def together(workers: int, work) -> float:
    """Seconds from the moment when all workers are ready until the last has ended."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(workers + 1)
    processes = [context.Process(target=work, args=(n, gate)) for n in range(workers)]
    for process in processes:
        process.start()
    gate.wait()
    begin = time.perf_counter()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit("a reader failed")
    return time.perf_counter() - begin


def first_byte(path: str, original: str, offset: int = 0) -> float:
    """Opens and reads 4 KiB; `stat` was before, as it is in every program that found the name."""
    os.stat(path)
    begin = time.perf_counter()
    descriptor = os.open(path, os.O_RDONLY)
    got = os.pread(descriptor, 4096, offset)
    elapsed = time.perf_counter() - begin
    os.close(descriptor)
    compare(original, [(offset, got)])
    return elapsed


def compare(original: str, pieces: list[tuple[int, bytes]]) -> None:
    """Fails unless each piece is what the original has at its offset."""
    with open(original, "rb") as file:
        for at, data in pieces:
            assert data and os.pread(file.fileno(), len(data), at) == data, f"wrong bytes at {at}"


def scattered(path: str, original: str, count: int, size: int) -> float:
    """Seconds of that many reads at random; their bytes are compared."""
    rng = random.Random(7)
    length = os.stat(path).st_size
    offsets = [rng.randrange(0, length - size) // 4096 * 4096 for _ in range(count)]
    descriptor = os.open(path, os.O_RDONLY)
    begin = time.perf_counter()
    got = [os.pread(descriptor, size, at) for at in offsets]
    elapsed = time.perf_counter() - begin
    assert all(len(data) == size for data in got), "wrong bytes: too few"
    compare(original, list(zip(offsets, got)))
    return elapsed


def scattered_by_many(path: str, original: str, readers: int, count: int, size: int) -> float:
    """Seconds in which each of the readers makes `count` reads at random; their bytes are compared
    by each as soon as it has them all."""
    length = os.stat(path).st_size

    def work(n: int, gate) -> None:
        rng = random.Random(n)
        offsets = [rng.randrange(0, length - size) // 4096 * 4096 for _ in range(count)]
        gate.wait()
        descriptor = os.open(path, os.O_RDONLY)
        compare(original, [(at, os.pread(descriptor, size, at)) for at in offsets])

    return together(readers, work)


def reopened(path: str, seconds: float = 1.0) -> float:
    """MiB/s of opening, reading and closing one file again and again."""
    buffer, total = bytearray(4 * BLOCK), 0
    begin = time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        descriptor = os.open(path, os.O_RDONLY)
        while got := os.readv(descriptor, [buffer]):
            total += got
        os.close(descriptor)
    return total / BLOCK / elapsed


def tensors(path: str, original: str) -> float:
    """Header, then every tensor in the order of the header through a mapping, as the loaders of
    the format do it."""
    begin = time.perf_counter()
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
            got = [view[8 + length + a:8 + length + b]
                   for a, b in (t["data_offsets"] for t in header.values())]
    elapsed = time.perf_counter() - begin
    assert b"".join(got) == pathlib.Path(original).read_bytes()[8 + length:], "wrong tensors"
    return elapsed


def names_of(listing: str) -> list[str]:
    return json.loads(pathlib.Path(listing).read_text())


def cat(root: str, listing: str, workers: int = 1, shuffled: bool = False) -> float:
    """Opens, reads and closes every file of the listing, in its order or shuffled."""
    names = names_of(listing)
    if shuffled:
        random.Random(8).shuffle(names)

    def read(n: int, gate) -> None:
        paths = [f"{root}/{name}" for name in names[n::workers]]
        gate.wait()
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            os.read(descriptor, 1 << 17)
            os.close(descriptor)

    return together(workers, read)


def look_and_cat(root: str, listing: str) -> float:
    """`stat` and read of every file."""
    names = names_of(listing)
    begin = time.perf_counter()
    for name in names:
        path = f"{root}/{name}"
        os.stat(path)
        descriptor = os.open(path, os.O_RDONLY)
        os.read(descriptor, 1 << 17)
        os.close(descriptor)
    return time.perf_counter() - begin


def epochs(root: str, listing: str, count: int = 2, workers: int = 2) -> float:
    """A loader with shuffling workers: each sample is read and turned into numbers."""
    names = names_of(listing)
    total = 0.0
    for epoch in range(count):
        order = names[:]
        random.Random(epoch).shuffle(order)

        def work(n: int, gate) -> None:
            gate.wait()
            for name in order[n::workers]:
                with open(f"{root}/{name}", "rb") as file:
                    sum(struct.unpack("<64Q", file.read()[:512]))

        total += together(workers, work)
    return total


def stat_rate(path: str) -> float:
    """`stat` calls a second on one path."""
    end, count = time.perf_counter() + 1, 0
    while time.perf_counter() < end:
        for _ in range(1000):
            os.stat(path)
        count += 1000
    return count / (time.perf_counter() - end + 1)


def digest(root: str, listing: str) -> str:
    """One digest over the bytes of every file of the listing."""
    over = hashlib.sha1()
    for name in names_of(listing):
        with open(f"{root}/{name}", "rb") as file:
            over.update(hashlib.file_digest(file, "sha1").digest())
    return over.hexdigest()


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
