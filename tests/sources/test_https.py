"""The https source against a server of ours, over TLS."""

import hashlib
import ssl
from pathlib import Path

import pytest
from inferflow_sources import download
from inferflow_sources.https import HTTPSSource
from web_server import WebServer, serving

from inferflow_core import store
from inferflow_core.errors import SourceError

BODY = bytes(range(256)) * 9000
SHA256 = hashlib.sha256(BODY).hexdigest()


def pull(url: str, sha256: str | None = SHA256, told: list[int] | None = None) -> Path:
    seen = [] if told is None else told
    return HTTPSSource().pull(url, sha256=sha256, progress=lambda done, total: seen.append(done))


def part_of(url: str) -> Path:
    """The half of a file that a pull left."""
    folder = store.folder("https", f".{url.rpartition('/')[2]}-{SHA256}.part")
    return folder / f"{url.rpartition('/')[2]}.part"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0)


def test_pull_fetches_once(web: WebServer) -> None:
    web.file("/a/m.gguf", BODY)
    told: list[int] = []
    path = pull(f"{web.url}/a/m.gguf", told=told)
    assert path.read_bytes() == BODY
    assert told[-1] == len(BODY)
    assert pull(f"{web.url}/a/m.gguf", SHA256.upper()) == path
    assert HTTPSSource().locate(f"{web.url}/a/m.gguf") == path
    assert HTTPSSource().locate(f"{web.url}/other/m.gguf") is None
    assert HTTPSSource().locate(f"{web.url}/other/m.gguf", sha256=SHA256) == path
    assert web.paths() == ["/a/m.gguf"]
    manifest = store.read_manifest(path.parent)
    assert manifest is not None
    assert manifest["files"] == {"m.gguf": {"bytes": len(BODY), "sha256": SHA256}}


def test_another_hash_is_refused_and_leaves_nothing(web: WebServer) -> None:
    web.file("/m.gguf", BODY[:-1] + b"!")
    with pytest.raises(SourceError, match=f"sha256 is .*, not {SHA256}"):
        pull(f"{web.url}/m.gguf")
    assert store.kept() == []


def test_a_cut_connection_is_taken_up_where_it_broke(web: WebServer) -> None:
    web.file("/m.gguf", BODY, cuts=[1000, 500_000, 7])
    assert pull(f"{web.url}/m.gguf").read_bytes() == BODY
    asked = [each.headers.get("range") for each in web.seen]
    assert asked == [None, "bytes=1000-", "bytes=501000-", "bytes=501007-"]
    assert {each.headers.get("if-range") for each in web.seen[1:]} == {'"one"'}


def test_the_next_pull_goes_on_too(web: WebServer) -> None:
    url = f"{web.url}/m.gguf"
    web.file("/m.gguf", BODY, cuts=[70_000, 0])
    with pytest.raises(SourceError, match="broke after 70000 of") as caught:
        pull(url)
    assert "pull it again" in str(caught.value.hint)
    assert HTTPSSource().locate(url, sha256=SHA256) is None
    assert [(one.state, one.nbytes > 70_000) for one in store.kept()] == [("incomplete", True)]
    assert pull(url).read_bytes() == BODY
    assert web.seen[-1].headers["range"] == "bytes=70000-"
    assert [one.state for one in store.kept()] == ["complete"]


@pytest.mark.parametrize("how", ["changed", "no ranges", "weak tag", "shorter"])
def test_what_cannot_be_taken_up_is_fetched_anew(web: WebServer, how: str) -> None:
    url = f"{web.url}/m.gguf"
    web.file("/m.gguf", b"x" * 90_000 + BODY, cuts=[80_000, 0])
    with pytest.raises(SourceError):
        pull(url)
    if how == "changed":
        web.file("/m.gguf", BODY, tag='"two"')
    elif how == "no ranges":
        web.file("/m.gguf", BODY, ranges=False)
    elif how == "weak tag":
        part_of(url).with_suffix(".tag").unlink()
        part_of(url).write_bytes(BODY[:80_000])
        web.file("/m.gguf", BODY, tag='W/"one"')
    else:
        part_of(url).write_bytes(bytes(len(BODY) + 1))
        web.file("/m.gguf", BODY)
    assert pull(url).read_bytes() == BODY


@pytest.mark.parametrize(
    ("length", "headers", "words"),
    [
        (False, {}, "does not say how large"),
        (True, {"Content-Encoding": "gzip"}, "compressed"),
    ],
)
def test_a_size_that_is_not_known_is_refused(
    web: WebServer, length: bool, headers: dict[str, str], words: str
) -> None:
    web.file("/m.gguf", BODY, length=length).headers |= headers
    with pytest.raises(SourceError, match=words):
        pull(f"{web.url}/m.gguf")
    assert store.kept() == []


def test_a_disk_without_room_is_told_before(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.file("/m.gguf", BODY)
    usage = download.shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SourceError, match=f"{len(BODY)} bytes are to come, 1000 are free"):
        pull(f"{web.url}/m.gguf")
    assert store.kept() == []


@pytest.mark.parametrize(
    ("status", "words"), [(404, "404 Not Found"), (503, "503 Service"), (401, "401")]
)
def test_an_answer_that_is_no_file(web: WebServer, status: int, words: str) -> None:
    web.file("/m.gguf", b"an error page", status=status)
    with pytest.raises(SourceError, match=words):
        pull(f"{web.url}/m.gguf")


def test_redirects_stay_on_https(
    web: WebServer, plain: WebServer, authority: tuple[ssl.SSLContext, Path]
) -> None:
    with serving(authority[0]) as other:
        other.file("/real%20name", BODY)
        web.redirect("/m.gguf", f"{other.url}/real name?signature=1", 307)
        assert pull(f"{web.url}/m.gguf").read_bytes() == BODY
        assert other.paths() == ["/real%20name?signature=1"]
    plain.file("/m.gguf", BODY)
    for place in (
        f"{plain.url}/m.gguf",
        "file:///etc/passwd",
        "ftp://x/m.gguf",
        "//[",
        "https://u@x/",
    ):
        web.redirect("/n.gguf", place)
        with pytest.raises(SourceError, match="not https, and is not followed"):
            pull(f"{web.url}/n.gguf")
    assert plain.seen == []
    web.redirect("/n.gguf", "/n.gguf")
    with pytest.raises(SourceError, match="more than 5 times"):
        pull(f"{web.url}/n.gguf")


def test_an_unknown_certificate_is_refused(
    untrusted: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Path(__file__)))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(SourceError, match="certificate verify failed") as caught:
        pull(f"{untrusted.url}/m.gguf")
    assert "SSL_CERT_FILE" in str(caught.value.hint)
    assert untrusted.seen == []


def test_nobody_answers(web: WebServer) -> None:
    with serving() as gone:
        url = gone.url.replace("http:", "https:")
    with pytest.raises(SourceError, match="cannot be reached"):
        pull(f"{url}/m.gguf")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/m.gguf", "not of the form"),
        ("https:example.org/m.gguf", "not of the form"),
        ("https://example.org:99999/m.gguf", "not of the form"),
        ("https://[::1/m.gguf", "not of the form"),
        ("https://exa mple.org/m.gguf", "not of the form"),
        ("https://example.org/m.gguf#part", "not of the form"),
        ("https://me:secret@example.org/m.gguf", "user or password"),
        ("https://example.org/", "name of a model"),
        ("https://example.org/model.py", "name of a model"),
        ("https://example.org/model.pkl", "name of a model"),
        ("https://example.org/..%2Fm.gguf", "name of a model"),
        ("https://example.org/.m.gguf", "name of a model"),
        ("https://example.org/a%5Cm.gguf", "name of a model"),
        ("https://example.org/" + "m" * 300 + ".gguf", "name of a model"),
    ],
)
def test_urls_that_are_refused(url: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        HTTPSSource().locate(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("sha256", [None, "", "abc", "g" * 64])
def test_a_pull_needs_a_whole_hash(sha256: str | None) -> None:
    with pytest.raises(SourceError, match=r"hash|sha256"):
        pull("https://example.org/m.gguf", sha256)
