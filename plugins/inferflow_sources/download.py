"""A file over HTTP: streamed, bounded, and gone on with where it broke off."""

import http.client
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from inferflow_core.errors import SourceError
from inferflow_core.version import __version__

Progress = Callable[[int, int | None], None]

TIMEOUT_S = 30
"""Of a connection, and of each wait for more bytes."""
PAUSE_S = 1.0
MAX_TRIES = 100
MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
NO_SUCH_RANGE = 416

_CHUNK = 1 << 20
_AGAIN = "pull it again: it goes on where it stopped"


class Refused(SourceError):
    """An answer that is no file. `status` is HTTP's; `code` is the Hub's word for it."""

    def __init__(self, host: str, status: int, code: str) -> None:
        super().__init__(f"{host} answers {status} {http.client.responses.get(status, '')}".strip())
        self.status = status
        self.code = code


class _Cut(Exception):
    """The connection could not be made, or broke while the file came in."""


def download(
    url: str,
    target: Path,
    *,
    progress: Progress,
    size: int | None = None,
    secrets: Mapping[str, str] | None = None,
) -> None:
    """Fetches `url` into the file `target`.

    What has arrived lies in `target.part` until all is there; the next call goes on from it unless
    the server has changed the file since (If-Range). `size` is how many bytes there must be;
    without it the server must say so. `secrets` are headers for the origin of `url`, and for no
    other that it redirects to; a redirect does not leave HTTPS. The hash is the caller's to check.
    Raises SourceError, and OSError of the disk.
    """
    part = target.with_name(f"{target.name}.part")
    for tries in range(1, MAX_TRIES + 1):
        before = _size(part)
        try:
            _receive(url, part, size, secrets or {}, progress)
            break
        except _Cut as cut:
            # Somebody is there as long as each try brings something.
            if _size(part) <= before or tries == MAX_TRIES:
                untrusted = isinstance(cut.__cause__, ssl.SSLCertVerificationError)
                hint = (
                    "SSL_CERT_FILE names a file of certificates to trust" if untrusted else _AGAIN
                )
                raise SourceError(f"{_host(url)}: {cut}", hint=hint) from cut
            time.sleep(PAUSE_S)
    part.replace(target)
    _tag(part).unlink(missing_ok=True)


def _receive(
    url: str, part: Path, size: int | None, secrets: Mapping[str, str], progress: Progress
) -> None:
    """One connection's worth of a file."""
    done = _size(part)
    if done == size:
        return part.touch()
    headers = {"User-Agent": f"inferflow/{__version__}", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
        if _tag(part).exists():
            headers["If-Range"] = _tag(part).read_text("utf-8")
    try:
        response = _open(url, headers, secrets)
    except Refused as refused:
        if not (refused.status == NO_SUCH_RANGE and done):
            raise
        part.unlink()  # the file has become shorter
        return _receive(url, part, size, secrets, progress)
    with response:
        start, total = _extent(response)
        total = size if total is None else total
        if total is None:
            raise SourceError(f"{_host(url)} does not say how large the file is; it is not fetched")
        if size is not None and total != size:
            raise SourceError(f"{_host(url)} has a file of {total} bytes; {size} were to come")
        if start not in (0, done):
            raise SourceError(f"{_host(url)} sends other bytes than were asked for")
        check_room(part.parent, total - start)
        if start == 0:
            _keep_tag(part, response)
        _write(response, part, start, total, progress)


def check_room(folder: Path, needed: int) -> None:
    """Raises SourceError if a folder's disk has less room than so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SourceError(
            f"the disk of {folder} is too full: {needed} bytes are to come, {free} are free",
            hint="`inferflow rm` makes room; INFERFLOW_CACHE names another folder for the cache",
        )


def _write(
    response: http.client.HTTPResponse, part: Path, start: int, total: int, progress: Progress
) -> None:
    done = start
    with part.open("ab" if start else "wb") as file:
        while done < total:
            try:
                chunk = response.read1(min(_CHUNK, total - done))
            except (OSError, http.client.HTTPException) as error:
                raise _Cut(f"the connection broke ({error})") from error
            if not chunk:
                raise _Cut(f"the connection broke after {done} of {total} bytes")
            file.write(chunk)
            done += len(chunk)
            progress(done, total)
        file.flush()
        os.fsync(file.fileno())


def _open(
    url: str, headers: Mapping[str, str], secrets: Mapping[str, str]
) -> http.client.HTTPResponse:
    """The answer with the file, after redirects. Raises Refused, SourceError, _Cut."""
    opener = build_opener(_NoRedirects)
    at = url
    for _ in range(MAX_REDIRECTS + 1):
        known = secrets if _origin(at) == _origin(url) else {}
        try:
            request = Request(at, headers={**headers, **known})
            return opener.open(request, timeout=TIMEOUT_S)
        except HTTPError as answer:
            with answer:
                if answer.code not in REDIRECTS:
                    code = answer.headers.get("X-Error-Code", "")
                    raise Refused(_host(at), answer.code, code) from answer
                at = _redirected(at, answer.headers.get("Location", ""))
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            cause = reason if isinstance(reason, Exception) else error
            raise _Cut(f"cannot be reached: {reason}") from cause
    raise SourceError(f"{_host(url)} redirects more than {MAX_REDIRECTS} times")


class _NoRedirects(HTTPRedirectHandler):
    """They are followed by hand: urllib's own would take every header along, to anywhere."""

    def http_error_302(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any
    ) -> None:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _redirected(at: str, location: str) -> str:
    try:
        # A location may hold characters that a request must not.
        url = quote(urljoin(at, location), safe="%/:=&?~#+!$,;'@()*[]")
        old, new = urlsplit(at).scheme, urlsplit(url)
        usable = new.scheme == "https" or (old, new.scheme) == ("http", "http")
        if usable and new.hostname and new.username is None and new.port != 0:
            return url
    except ValueError:
        pass
    raise SourceError(f"{_host(at)} redirects to a place that is not https, and is not followed")


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the bytes begin, and how many the whole file has, if that is said."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceError("the server sends the file compressed, so its size is not known")
    if response.status == http.client.PARTIAL_CONTENT:
        given = re.fullmatch(
            r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", response.headers.get("Content-Range", "")
        )
        if given is None:
            raise SourceError("the server sends a part of the file without saying which")
        return int(given[1]), int(given[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch(r"\d{1,18}", length) else None


def _keep_tag(part: Path, response: http.client.HTTPResponse) -> None:
    """What names this version of the file. A weak tag does not promise the same bytes."""
    tag = response.headers.get("ETag", "")
    if not re.fullmatch(r'"[\x21\x23-\x7e]{1,500}"', tag):
        tag = response.headers.get("Last-Modified", "")
    if re.fullmatch(r"[\x20-\x7e]{1,502}", tag):
        _tag(part).write_text(tag, "utf-8")
    else:
        _tag(part).unlink(missing_ok=True)


def _tag(part: Path) -> Path:
    return part.with_suffix(".tag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _host(url: str) -> str:
    """Of a URL whose rest may hold a signature, and is not for the eyes of others."""
    return urlsplit(url).netloc


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80}.get(parts.scheme, 443)
