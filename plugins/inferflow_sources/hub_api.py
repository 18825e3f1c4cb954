"""What is asked of the Hugging Face Hub, through `huggingface_hub`: a repository's files at a
commit, and the token to fetch them with. `HF_ENDPOINT`, `HF_TOKEN` and the token file,
`HF_HUB_OFFLINE` mean what they mean there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferflow_core.errors import SourceError
from inferflow_core.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT_S = 30
MAX_BYTES = 1 << 50


@dataclass(frozen=True)
class HubFile:
    """A file as the Hub lists it. Large ones (LFS) have a SHA-256, all others git's SHA-1."""

    name: str
    size: int
    sha256: str | None
    blob: str


class Hub:
    """Raises SourceError where `huggingface_hub` is not installed."""

    def __init__(self) -> None:
        try:
            from huggingface_hub import HfApi
        except ImportError as error:
            raise SourceError(
                "models of the Hugging Face Hub need the package huggingface_hub",
                hint='pip install "inferflow-core[hub]"',
            ) from error
        endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        if not endpoint.startswith(("https://", "http://")):
            raise SourceError(f"HF_ENDPOINT is {endpoint!r}: it begins with https:// or http://")
        self.endpoint = endpoint
        self._api: HfApi = HfApi(
            endpoint=endpoint, library_name="inferflow", library_version=__version__
        )

    def listing(self, repo: str, revision: str | None) -> tuple[str, list[HubFile]]:
        """The commit of a revision (None: of the default branch), and its files."""
        try:
            info = self._api.model_info(
                repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S
            )
        except Exception as error:  # its own, and whatever its HTTP library raises
            raise self._explained(repo, revision, error) from error
        commit, siblings = info.sha or "", info.siblings or []
        if not COMMIT.fullmatch(commit) or (
            COMMIT.fullmatch(revision or "") and commit != revision
        ):
            raise SourceError(f"{self.endpoint} does not say the commit of {repo}")
        return commit, [self._file(repo, each) for each in siblings]

    def url(self, repo: str, commit: str, name: str) -> str:
        from huggingface_hub import constants, hf_hub_url

        # hf_hub_url takes the place of the endpoint that the process began with only.
        url = hf_hub_url(repo, name, revision=commit)
        return self.endpoint + url.removeprefix(constants.ENDPOINT)

    def secrets(self) -> Mapping[str, str]:
        """The header with the token, if there is one. For the endpoint alone."""
        from huggingface_hub.utils import build_hf_headers

        headers = build_hf_headers(library_name="inferflow", library_version=__version__)
        return {name: text for name, text in headers.items() if name.lower() == "authorization"}

    def refused(self, repo: str, status: int, code: str) -> SourceError:
        """What an answer means, and what helps."""
        if code == "GatedRepo" or status == 403:
            return SourceError(
                f"{repo} is gated: {self.endpoint} gives it to those who were let in only",
                hint=f"ask for access on {self.endpoint}/{repo}, and set HF_TOKEN",
            )
        if code == "RevisionNotFound":
            return SourceError(f"{repo} has no such revision")
        if status in (401, 404):
            return SourceError(
                f"{self.endpoint} knows no model {repo}, or does not show it",
                hint="is the name right? A private model needs HF_TOKEN",
            )
        return SourceError(f"{self.endpoint} answers {status} to the question for {repo}")

    def _explained(self, repo: str, revision: str | None, error: Exception) -> SourceError:
        response: Any = getattr(error, "response", None)
        if type(error).__name__ == "OfflineModeIsEnabled":
            return SourceError("HF_HUB_OFFLINE is set, and forbids asking the Hub", hint="unset it")
        if response is not None:
            code = response.headers.get("X-Error-Code", "")
            refused = self.refused(repo, response.status_code, code)
            if code == "RevisionNotFound":
                refused = SourceError(f"{repo} has no revision {revision!r}")
            return refused
        words = " ".join(str(error).split())[:300]
        return SourceError(f"{self.endpoint}: {words or type(error).__name__}")

    def _file(self, repo: str, sibling: Any) -> HubFile:
        size, sha256 = sibling.size, sibling.lfs.sha256 if sibling.lfs else None
        blob = sibling.blob_id
        if not (
            type(size) is int
            and 0 <= size < MAX_BYTES
            and (sha256 is None or re.fullmatch("[0-9a-f]{64}", sha256))
            and COMMIT.fullmatch(blob or "")
        ):
            raise SourceError(
                f"{self.endpoint} lists {sibling.rfilename!r} of {repo} without hashes"
            )
        return HubFile(sibling.rfilename, size, sha256, blob)
