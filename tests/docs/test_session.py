"""What runs the pages notices when they are wrong."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fences import anchors, fences, links
from session import PageError, Session, environment

GOOD = """
# It is `so`: a page
```toml title="deep/a.toml"
url = "http://localhost:8000"
```
- in a list:
  ```sh
  cd deep
  export WORD="two words"
  ```
```sh
test "$WORD" = "two words"
! grep 8000 a.toml   # the file has the port that the server will have
```
```sh fails="3"
echo seen and done
exit 3
```
```text printed="above"
seen … done
```
```python
import os, pathlib
assert os.environ["WORD"] == "two words" and pathlib.Path("a.toml").exists()
```
[one](a.md#b) ![two](p.svg) `[no](link)`
"""
SERVED = """
```sh
inferflow serve model.gguf
curl -sf http://127.0.0.1:8000/health
```
```python
import httpx
assert httpx.get("http://127.0.0.1:8000/v1/models").json()["data"][0]["id"] == "model"
```
```sh
INFERFLOW_API_KEY=k inferflow serve checkpoint \\
    --port 9000 &
curl -sf http://localhost:8000/health
curl -sf http://localhost:9000/v1/models -H "Authorization: Bearer k"
```
"""


def run(page: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    programs, room = Path(sys.executable).parent, folder / "room"
    with Session("page.md", folder, room, programs, environment(folder)) as session:
        for fence in fences(page):
            session.run(fence)


def test_a_good_page(tmp_path: Path) -> None:
    run(GOOD, tmp_path)
    assert links(GOOD) == ["a.md#b", "p.svg"]
    assert anchors(GOOD) == {"it-is-so-a-page"}


@pytest.mark.slow
def test_servers_live_as_long_as_the_page(tiny: Path) -> None:
    run(SERVED, tiny)


@pytest.mark.parametrize(
    ("page", "line", "words"),
    [
        ("```sh\necho hello\nfalse | true\nfalse\n```", 2, ("exit code 1, not 0", "hello")),
        ("\n\n```sh\necho $nothing\n```", 4, ("exit code", "unbound")),
        ('```sh fails="2"\ntrue\n```', 2, ("exit code 0, not 2",)),
        ("```python\n1 / 0\n```", 2, ("ZeroDivisionError",)),
        ('```sh\necho b\n```\n```text printed="above"\na\n```', 5, ("no such text", "b")),
        ("```sh\ninferflow serve nothing.gguf\n```", 2, ("ready", "nothing.gguf")),
    ],
)
def test_a_wrong_page(tmp_path: Path, page: str, line: int, words: tuple[str, ...]) -> None:
    with pytest.raises(PageError) as error:
        run(page, tmp_path)
    assert str(error.value).startswith(f"page.md:{line}: ")
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("page", ["```sh\nnever closed", "```sh what is this\n```"])
def test_a_page_that_cannot_be_read(page: str) -> None:
    with pytest.raises(ValueError, match="line"):
        fences(page)
