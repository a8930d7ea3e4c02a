"""The listing of an S3 bucket over a local directory, for mount-s3: nginx serves the objects
themselves, and asks here for `ListObjectsV2` only. Signatures are not looked at."""

from __future__ import annotations

import bisect
import contextlib
import pathlib
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

BUCKET = "bench"
PAGE = 1000


class Bucket:
    """Keys in the order of their bytes, with what a listing says of each."""

    def __init__(self, root: pathlib.Path):
        self.objects = {str(p.relative_to(root)): p.stat() for p in root.rglob("*") if p.is_file()}
        self.keys = sorted(self.objects, key=str.encode)

    def page(self, prefix: str, delimiter: str, after: str) -> tuple[list[str], list[str], str | None]:
        """Keys, common prefixes, and where the next page begins, of the page behind `after`."""
        keys, prefixes = [], []
        at = bisect.bisect_left(self.keys, max(prefix, after))
        while at < len(self.keys) and self.keys[at].startswith(prefix):
            key = self.keys[at]
            if len(keys) + len(prefixes) == PAGE:
                return keys, prefixes, key
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                keys.append(key)
                at += 1
            else:
                prefixes.append(key[:cut + 1])
                at = bisect.bisect_left(self.keys, key[:cut] + chr(ord(delimiter) + 1))
        return keys, prefixes, None

    def listing(self, query: dict[str, str]) -> str:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        keys, prefixes, after = self.page(prefix, delimiter, query.get("continuation-token", ""))
        contents = "".join(self.entry(key) for key in keys)
        common = "".join(f"<CommonPrefixes><Prefix>{escape(p)}</Prefix></CommonPrefixes>" for p in prefixes)
        more = f"<NextContinuationToken>{escape(after)}</NextContinuationToken>" if after else ""
        return (f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><Delimiter>{escape(delimiter)}</Delimiter>"
                f"<MaxKeys>{PAGE}</MaxKeys><KeyCount>{len(keys) + len(prefixes)}</KeyCount>"
                f"<IsTruncated>{str(bool(after)).lower()}</IsTruncated>{more}{contents}{common}</ListBucketResult>")

    def entry(self, key: str) -> str:
        found = self.objects[key]
        # As nginx writes it, so that a conditional GET agrees with the listing.
        etag = f"{int(found.st_mtime):x}-{found.st_size:x}"
        return (f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;{etag}&quot;</ETag><Size>{found.st_size}</Size>"
                f"<StorageClass>STANDARD</StorageClass></Contents>")


@contextlib.contextmanager
def listed(root: pathlib.Path):
    """Serves the listing of the files below `root`; yields its port."""
    bucket = Bucket(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            body = bucket.listing(query).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
