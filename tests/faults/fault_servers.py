"""Servers that lead elsewhere, send without end, or send something else than what is recorded."""

from __future__ import annotations

import gzip
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fault_archives import A, catalogue_of_one
from harness import Fault, Outcome, cli, fork, last_line, traceback_free


@contextmanager
def answering(answers: Mapping[str, Callable[[socket.socket], None]]) -> Iterator[str]:
    """A server that sends whatever it is told to, whether it is HTTP or not; yields where it listens."""
    server = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                try:
                    request = connection.recv(65536).decode("latin-1")
                    path = request.split(" ")[1] if " " in request else "/"
                    answers.get(path, answers["*"])(connection)
                except OSError:  # the client has had enough
                    continue

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.close()


def says(text: str | bytes, then: Callable[[socket.socket], None] | None = None) -> Callable[[socket.socket], None]:
    """Sends these bytes, and then does something else."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(text.encode("latin-1") if isinstance(text, str) else text)
        if then is not None:
            then(connection)

    return answer


def _forever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"\n" * 65536)


def _chunks(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"10000\r\n" + b"\n" * 65536 + b"\r\n")


def _redirect(to: str) -> Callable[[socket.socket], None]:
    return says(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")


_OK = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
_GOOD_A = says(_OK + f"Content-Length: {len(A)}\r\n\r\n" + A.decode())
SERVERS: tuple[tuple[str, Callable[[socket.socket], None], tuple[str, ...]], ...] = (
    ("a server as it should be", _GOOD_A, ()),
    ("a redirect within http", _redirect("/other"), ()),
    ("a redirect to a local file", _redirect("file:///etc/hostname"), ("not allowed",)),
    ("a redirect to ftp", _redirect("ftp://127.0.0.1/x"), ("leads on to", "not followed")),
    ("a redirect to data", _redirect("data:text/plain,one"), ("not allowed",)),
    ("a redirect with escapes", _redirect("javascript:\x1b[31m"), ("not allowed",)),
    ("a redirect to itself", _redirect("/d/a.txt"), ("answers 302",)),
    ("a stream without end", says(_OK + "\r\n", _forever), ("more than",)),
    ("a stream without end, in chunks", says(_OK + "Transfer-Encoding: chunked\r\n\r\n", _chunks), ("more than",)),
    ("a petabyte announced", says(_OK + f"Content-Length: {1 << 50}\r\n\r\n", _forever),
        ("announces", "nothing was fetched")),
    ("more than announced", says(_OK + f"Content-Length: {len(A)}\r\n\r\n" + A.decode() + "more" * 99), ()),
    ("less than nothing announced", says(_OK + "Content-Length: -5\r\n\r\n" + A.decode()), ()),
    ("another content", says(_OK + "Content-Length: 4\r\n\r\nevil"), ("SHA-256", "nothing was kept")),
    ("packed content", says(_OK.encode() + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(A)), ("SHA-256",)),
    ("a mark over two lines", says(_OK + f'ETag: "a\r\n b"\r\nContent-Length: {len(A) + 9}\r\n\r\n' + A.decode()),
        ("ended after",)),
    ("a part that was not asked for", says("HTTP/1.1 206 Partial\r\nContent-Range: bytes 7-9/5\r\n"
        + f"Content-Length: {len(A)}\r\n\r\n" + A.decode()), ("range",)),
    ("a refusal with escapes", says("HTTP/1.1 403 \x1b[2J\x1b[31mred\r\n\r\n"), ("403",)),
    ("a header without end", says(_OK + "X: " + "a" * (1 << 20) + "\r\n\r\n"), ("header line",)),
    ("no HTTP at all", says("\x1b[31m" * 99), ("tries",)),
    ("silence", says(""), ("tries",)),
)  # fmt: skip


def _servers(scratch: Path, fast: bool) -> Iterable[Outcome]:
    for number, (name, answer, words) in enumerate(SERVERS[:: 4 if fast else 1]):
        place = scratch / f"{number:02d}"
        place.mkdir()

        def call(place: Path = place, answer: Callable[[socket.socket], None] = answer) -> None:
            os.environ["XREALIGN_CACHE"] = str(place / "cache")
            with answering({"*": _GOOD_A, "/d/a.txt": answer}) as host:
                catalogue_of_one(place / "catalogue", host)
                cli("data", "get", "news")()

        ended = fork(call, folder=place)
        there = place / "cache" / "data" / "news" / "d" / "a.txt"
        right = not there.exists() or there.read_bytes() == A
        told = (
            traceback_free(ended) and all(w in ended.err for w in words)
            if words
            else ended.code == 0 and there.exists()
        )
        clean = "\x1b" not in ended.err + ended.out
        yield Outcome(name, right and told and clean, last_line(ended) + ("" if clean else "; escapes on the terminal"))


FAULTS = (
    Fault(
        "servers of data sets",
        "no other scheme, no stream without end, nothing kept that is not as recorded",
        _servers,
    ),
)
