"""Keys, host names, sizes, and the paths that do not exist."""

from typing import Any

import httpx
import pytest
from inferflow_server.http.server import LOOPBACK_NAMES, is_loopback, listen, url

from inferflow_core.errors import UsageError

BODY = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}


def test_a_key_guards_all_but_health(serve: Any, model: Any) -> None:
    with serve(model, key="s3cret") as url:
        assert httpx.get(f"{url}/health").status_code == 200
        for path in ("/v1/models", "/ready", "/nothing", "/health/", "//health"):
            answer = httpx.get(url + path)
            assert answer.status_code == 401, path
            assert answer.json()["error"]["code"] == "invalid_api_key"
        for wrong in ("Bearer s3cre", "Bearer s3cret2", "s3cret", "Basic s3cret", "Bearer é", ""):
            headers = [(b"Authorization", wrong.encode("latin-1"))]
            assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 401, wrong
        good = {"Authorization": "Bearer s3cret"}
        assert httpx.get(f"{url}/v1/models", headers=good).status_code == 200
        answer = httpx.post(f"{url}/v1/chat/completions", json=BODY)
        assert answer.status_code == 401
        assert model.engine.requests == []


def test_other_host_names_are_not_answered(serve: Any, model: Any) -> None:
    with serve(model, hosts=LOOPBACK_NAMES) as url:
        port = url.rpartition(":")[2]
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", ""):
            answer = httpx.get(f"{url}/v1/models", headers={"Host": host})
            assert answer.status_code == 421, host
        for host in ("localhost", f"LOCALHOST:{port}", f"[::1]:{port}", "127.0.0.1"):
            assert httpx.get(f"{url}/v1/models", headers={"Host": host}).status_code == 200, host


def test_the_host_name_is_never_repeated(url: str, model: Any) -> None:
    for path in ("/v1/models", "/v1/models/", "/nothing"):
        answer = httpx.get(url + path, headers={"Host": "evil.example"})
        assert "evil" not in answer.text + str(answer.headers)


def test_large_bodies_are_refused(serve: Any, model: Any) -> None:
    with serve(model, max_body=1000) as url:
        big = b'{"model": "' + b"x" * 1000
        headers = {"Content-Type": "application/json"}
        path = f"{url}/v1/chat/completions"
        declared = httpx.post(path, content=big, headers=headers)
        chunked = httpx.post(path, content=iter([big[:600], big[600:]]), headers=headers)
        for answer in (declared, chunked):
            assert answer.status_code == 413
            assert "1000 bytes" in answer.json()["error"]["message"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_no_other_origin_is_allowed(url: str, model: Any, origin: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS"):
        answer = httpx.request(method, f"{url}/v1/models", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "change",
    [
        *({"model": name} for name in ("/etc/passwd", "../x", "hf:a/b", "https://x.example/m")),
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": "file:/x"}]}
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}]},
        *({name: "file:///etc/passwd"} for name in ("chat_template", "documents", "lora", "path")),
    ],
)
def test_no_path_or_address_of_a_request_is_opened(url: str, model: Any, change: Any) -> None:
    """There is no field that could name one."""
    answer = httpx.post(f"{url}/v1/chat/completions", json=BODY | change)
    assert answer.status_code in (400, 404)
    assert model.engine.requests == []


def test_models(url: str, model: Any) -> None:
    listed = httpx.get(f"{url}/v1/models").json()
    assert listed["object"] == "list"
    card = listed["data"][0]
    assert (card["id"], card["object"], card["context_length"]) == ("scripted", "model", 64)
    assert httpx.get(f"{url}/v1/models/scripted").json() == card
    missing = httpx.get(f"{url}/v1/models/some/other")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/x", 404), ("PUT", "/v1/models", 405), ("GET", "/v1/completions", 405)],
)
def test_errors_of_routing_have_the_shape_too(
    url: str, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, url + path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_taken_port_is_a_usage_error() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}"):
            listen("127.0.0.1", port)
        assert url("0.0.0.0", taken) == f"http://127.0.0.1:{port}"
        assert url("::1", taken) == f"http://[::1]:{port}"
    with pytest.raises(UsageError):
        listen("no such host", 1)


def test_loopback_is_known() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "10.0.0.1", "example.com")] == [False] * 4
