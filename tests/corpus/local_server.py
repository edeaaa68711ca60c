"""A real HTTP server on 127.0.0.1 with the faults a download meets, for the tests of fetching."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server serves and how it misbehaves.

    Attributes:
        files: path to content.
        ranges: whether Range requests are answered with 206.
        etags: whether an ETag is sent and If-Range obeyed.
        cut_after: connections still to be cut, each after so many bytes of the body.
        fail_with: status codes to answer with first.
        requests: (path, Range header or "") of every request.
        url: where it listens.
    """

    files: dict[str, bytes]
    ranges: bool = True
    etags: bool = True
    cut_after: list[int] = field(default_factory=list)
    fail_with: list[int] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            site.requests.append((self.path, wanted))
            if site.fail_with:
                self.send_error(site.fail_with.pop(0))
                return
            if self.path not in site.files:
                self.send_error(404)
                return
            content = site.files[self.path]
            etag = f'"{hashlib.sha256(content).hexdigest()[:12]}"'
            start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and site.ranges else 0
            if site.etags and self.headers.get("If-Range", etag) != etag:
                start = 0
            if start >= len(content) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if site.etags:
                self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if site.cut_after:
                self.wfile.write(body[: site.cut_after.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(body)

    return Handler


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Runs the server while the block runs; sets ``site.url``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
