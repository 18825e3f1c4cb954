"""A Hugging Face Hub on this machine: what `huggingface_hub` asks of the real one, and the second
host that large files are redirected to there. Written after the client's own source (2.4)."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from web_server import Answer, WebServer, serving

COMMIT = "1234567890abcdef1234567890abcdef12345678"
LARGE = 1000
"""Files from this size on are LFS files."""


class StubHub:
    """`web` is the endpoint, `cdn` the other host."""

    def __init__(self, web: WebServer, cdn: WebServer) -> None:
        self.web = web
        self.cdn = cdn

    def add(
        self, repo: str, files: dict[str, bytes], commit: str = COMMIT, name: str = "main"
    ) -> None:
        """A commit; `name` is the branch or tag that means it now."""
        info: dict[str, Any] = {"id": repo, "sha": commit, "siblings": []}
        for file, body in files.items():
            info["siblings"].append(self._listed(file, body))
            place = f"/{repo}/resolve/{commit}/{file}"
            headers = {"X-Repo-Commit": commit, "ETag": f'"{_blob(body)}"'}
            if len(body) < LARGE:
                self.web.answers[place] = Answer(body, headers=headers)
                continue
            digest = hashlib.sha256(body).hexdigest()
            self.cdn.file(f"/blobs/{digest}", body, tag=f'"{digest}"')
            self.web.redirect(place, f"{self.cdn.url}/blobs/{digest}?signature=s3cret")
            self.web.answers[place].headers |= headers | {"X-Linked-Etag": f'"{digest}"'}
        for place in ("", "/revision/main", f"/revision/{commit}"):
            self.web.json(f"/api/models/{repo}{place}", info)

    def refuse(self, path: str, status: int, code: str = "") -> None:
        headers = {"X-Error-Code": code} if code else {}
        self.web.answers[path] = Answer(b'{"error": "no"}', status, headers)

    def _listed(self, name: str, body: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"rfilename": name, "size": len(body), "blobId": _blob(body)}
        if len(body) >= LARGE:
            digest = hashlib.sha256(body).hexdigest()
            entry["lfs"] = {"sha256": digest, "size": len(body), "pointerSize": 134}
        return entry


def _blob(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubHub]:
    """A Hub that is the configured one, and nobody logged in."""
    with serving() as web, serving() as cdn:
        monkeypatch.setenv("HF_ENDPOINT", web.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HF_TOKEN", "")
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        yield StubHub(web, cdn)
