"""The description of the server against a server that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from serving import EXAMPLES, Running, running

from pe_audio_cli.server.refusals import STATUS, Refusal

DOG = EXAMPLES / "dog.flac"
ASKING = ("/v1/tag", "/v1/localize", "/v1/embed", "/v1/search")


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[Running, dict[str, Any], list[Exception]]]:
    """A server whose answers fail as a test wants, and its description."""
    errors: list[Exception] = []

    def prepare(service: Any) -> None:
        answer = service.answer

        def failing(*arguments: Any) -> None:
            if errors:
                raise errors[0]
            answer(*arguments)

        service.answer = failing

    with running(prepare=prepare) as server:
        yield server, server.client.get("/openapi.json").json(), errors


def operations(description: dict[str, Any]) -> list[tuple[str, str]]:
    return [(path, method) for path, methods in description["paths"].items() for method in methods]


def check(description: dict[str, Any], path: str, method: str, answer: Any) -> None:
    """The status, the media type and, for an error, the object are those that the description has."""
    responses = description["paths"][path][method]["responses"]
    described = responses[str(answer.status_code)]
    media_type = answer.headers["content-type"]
    assert media_type in described["content"] or media_type.partition(";")[0] in described["content"]
    if answer.status_code != 200:
        schema = {**description["components"]["schemas"]["Error"]}
        jsonschema.validate(answer.json(), schema)


def test_there_are_the_paths_that_are_described(asked) -> None:
    server, description, _ = asked
    for path, method in operations(description):
        body = {"content": DOG.read_bytes()} if method == "post" else {}
        parameters = {"q": "rain"} if method == "get" else {}
        answer = server.client.request(method.upper(), path, params=parameters, **body)
        check(description, path, method, answer)
        assert answer.status_code == 200 or path == "/v1/search"  # the server has no index
        other = "post" if method == "get" else "get"
        if other not in description["paths"][path]:
            assert server.client.request(other.upper(), path).status_code == 405


@pytest.mark.parametrize("kind", [kind for kind in STATUS if kind not in ("method", "wrong-host", "unauthorized")])
def test_every_status_of_an_answer_is_described(asked, kind: str) -> None:
    server, description, errors = asked
    errors[:] = [Refusal(kind, "as the test wants")]
    try:
        for path, method in operations(description):
            if path in ASKING:
                body = {"content": DOG.read_bytes()} if method == "post" else {}
                answer = server.client.request(
                    method.upper(), path, params={"q": "x"} if method == "get" else {}, **body
                )
                assert answer.status_code == STATUS[kind]
                check(description, path, method, answer)
    finally:
        errors.clear()


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), MemoryError(), OSError(28, "No space left on device"), KeyError("x")]
)
def test_what_nobody_foresaw_is_an_error_object_too(asked, error: Exception) -> None:
    server, description, errors = asked
    errors[:] = [error]
    try:
        answer = server.post("/v1/tag", DOG, params={"labels": "rain"})
        assert answer.status_code >= 500 and "Traceback" not in answer.text
        check(description, "/v1/tag", "post", answer)
    finally:
        errors.clear()
    assert server.post("/v1/tag", DOG, params={"labels": "rain"}).status_code == 200


def test_every_path_refuses_as_it_is_described(asked) -> None:
    _, description, _ = asked
    with running(token="secret") as server:
        needed = server.client.get("/openapi.json").json()
        assert needed["security"] == [{"token": []}] and "security" not in description
        refusals: list[dict[str, str]] = [
            {"authorization": "Bearer wrong"},
            {"host": "evil.example"},
            {"origin": "https://evil.example"},
        ]
        for path, method in operations(description):
            for headers in refusals:
                answer = server.client.request(method.upper(), path, headers=headers)
                assert answer.status_code in (401, 403, 421)
                check(description, path, method, answer)


VALUES: dict[str, Callable[[dict[str, Any]], str]] = {
    "number": lambda schema: "0.5",
    "integer": lambda schema: "1",
    "boolean": lambda schema: "false",
    "array": lambda schema: "rain",
    "string": lambda schema: "a.wav",
}


def test_the_parameters_that_are_described_are_known(asked) -> None:
    """None of them is refused as unknown, though its value may be."""
    server, description, _ = asked
    for path, method in operations(description):
        for parameter in description["paths"][path][method].get("parameters", []):
            schema = parameter["schema"]
            value = str(
                schema.get("const") or schema.get("enum", [None])[0] or VALUES[schema.get("type", "integer")](schema)
            )
            answer = server.client.request(method.upper(), path, params={parameter["name"]: value})
            assert "there is no parameter" not in answer.text, (path, parameter["name"])
        if path in ASKING:
            answer = server.client.request(method.upper(), path, params={"nobody": "1", "q": "x"})
            assert "there is no parameter" in answer.text or answer.status_code == 400
