"""One file over HTTP: resumed where it stopped, verified, and put in place whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from http.client import HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from xrealign.errors import DataError

SCHEMES = ("http", "https")
CHUNK = 1 << 16
TIMEOUT = 30.0  # seconds without a byte
LARGEST = 2 << 30
"""Bytes of a file at most: ten times the largest of the catalogue. A server that sends on and on fills no disk."""
_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')


class SameKind(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where an address itself might lead; never from https back to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in SCHEMES or (req.type == "https" and scheme == "http"):
            fp.close()
            raise DataError(f"{req.full_url}: the server leads on to {newurl!r}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str, target: Path, sha256: str | None = None, tries: int = 4, pause: float = 1.0) -> str:
    """Downloads ``url`` to ``target``; returns the file's SHA-256.

    What has arrived is kept in ``target.part`` and a later call goes on from there, by a Range request that
    holds only if the server's file is still the same (If-Range with its ETag). A server without Range support
    sends all of it again. The file is renamed to ``target`` after its length and digest were found right.

    Args:
        url: http or https address.
        target: where the file goes; its folder must exist.
        sha256: what the digest must be, or None when it is not known.
        tries: how often to connect before giving up.
        pause: seconds to wait before the second try, twice as long before each further one.

    Raises:
        DataError: not an http address nor a redirect to one, the server's refusal, a connection that keeps breaking,
            more bytes than `LARGEST`, or a wrong digest.
    """
    if urlsplit(url).scheme not in SCHEMES:
        raise DataError(f"{url}: only http and https addresses are fetched")
    part = target.with_name(target.name + ".part")
    tag_file = target.with_name(target.name + ".part.etag")
    trouble = ""
    for turn in range(tries):
        if turn:
            time.sleep(pause * 2 ** (turn - 1))
        resumed = part.exists()
        try:
            trouble = _receive(url, part, tag_file, sha256 is not None)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # the part is longer than the server's file
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code != 429:
                raise DataError(f"{url}: the server answers {error.code} {_short(error.reason)}") from None
            trouble = f"the server answers {error.code} {_short(error.reason)}"
            continue
        except (OSError, http.client.HTTPException) as error:
            trouble = _short(getattr(error, "reason", "") or error) or type(error).__name__
            continue
        if trouble:
            continue
        digest = file_sha256(part)
        if sha256 is not None and digest != sha256:
            part.unlink()
            tag_file.unlink(missing_ok=True)
            trouble = f"SHA-256 is {digest}, expected {sha256}"
            if resumed:  # the part may have been of another file
                continue
            raise DataError(f"{url}: {trouble}; the file there is not the recorded one, nothing was kept")
        _put_in_place(part, target)
        tag_file.unlink(missing_ok=True)
        return digest
    kept = part.stat().st_size if part.exists() else 0
    raise DataError(f"{url}: {trouble} ({tries} tries); {kept} bytes are kept, run the same again to go on")


def _receive(url: str, part: Path, tag_file: Path, checked: bool) -> str:
    """Appends what the server sends to ``part``; returns what went wrong, or nothing."""
    start = part.stat().st_size if part.exists() else 0
    tag = tag_file.read_text("utf-8", "replace") if start and tag_file.exists() else ""
    tag = tag if _ETAG.fullmatch(tag) else ""
    if start and not tag and not checked:
        start = 0  # nothing would tell whether the rest belongs to the same file
    headers = {"User-Agent": "xrealign", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag:
            headers["If-Range"] = tag
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(SameKind)
    with opener.open(request, timeout=TIMEOUT) as answer:
        total = None
        if answer.status == 206:
            span, _, length = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            if span.partition("-")[0] != str(start):
                part.unlink(missing_ok=True)
                return f"the server sent the range {span!r} instead of the one from {start}"
            total = int(length) if length.isdecimal() else None
        else:
            start = 0
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
        new_tag = answer.headers.get("ETag", "")
        if total is not None and total > LARGEST:
            raise DataError(f"{url}: the server announces {total} bytes, more than {LARGEST}; nothing was fetched")
        if _ETAG.fullmatch(new_tag):  # a weak one says nothing about bytes
            tag_file.write_text(new_tag, "utf-8")
        else:
            tag_file.unlink(missing_ok=True)
        with part.open("ab" if start else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                if file.tell() > LARGEST:
                    break
    size = part.stat().st_size
    if size > LARGEST:
        part.unlink()
        tag_file.unlink(missing_ok=True)
        raise DataError(f"{url}: the server sends more than {LARGEST} bytes; nothing was kept")
    if total is not None and size < total:
        return f"the connection ended after {size} of {total} bytes"
    if total is not None and size > total:
        part.unlink()
        return f"{size} bytes came, {total} were announced"
    return ""


def _short(text: object) -> str:
    """What a server said, on one line."""
    return " ".join(str(text).split())[:200]


def _put_in_place(part: Path, target: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)
