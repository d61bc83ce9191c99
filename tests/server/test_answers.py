"""Answers of a server are the bytes that the command prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoked import Result
from serving import EXAMPLES, Running, running

from pe_audio_cli.formats.registry import choices

DOG, SCENE = EXAMPLES / "dog.flac", EXAMPLES / "scene.mp3"
LABELS = "a dog barking,a rooster crowing,rain falling"


def printed(*arguments: str | Path) -> bytes:
    """What a command prints."""
    ran = Result(*arguments)
    assert ran.code == 0, ran
    return ran.out.encode()


@pytest.fixture(autouse=True)
def in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)


@pytest.mark.parametrize("format", choices("tag"))
@pytest.mark.parametrize(
    ("parameters", "flags"),
    [
        ({"labels": LABELS}, ["-l", LABELS]),
        ({}, []),
        ({"per_window": "true", "window": "3", "labels": LABELS}, ["--per-window", "--window", "3", "-l", LABELS]),
        (
            {"top_k": "2", "label": "rain, heavy", "label_set": "esc50"},
            ["--top-k", "2", "--label", "rain, heavy", "--label-set", "esc50"],
        ),
    ],
)
def test_tags(served: Running, tmp_path: Path, format: str, parameters: dict[str, str], flags: list[str]) -> None:
    answer = served.post("/v1/tag", DOG, params={**parameters, "format": format, "name": "dog.flac"})
    assert answer.status_code == 200, answer.text
    file = tmp_path / "out"
    printed("tag", "dog.flac", "-f", format, "-o", file, *flags)
    assert answer.content == file.read_bytes()


@pytest.mark.parametrize("format", choices("localize"))
@pytest.mark.parametrize(
    ("parameters", "flags"),
    [
        ({"labels": LABELS}, ["-l", LABELS]),
        ({"labels": LABELS, "tidy": "1", "threshold": "0.05"}, ["-l", LABELS, "--tidy", "--threshold", "0.05"]),
        (
            {"settings": "none", "median": "0.2", "window": "full"},
            ["--settings", "none", "--median", "0.2", "--window", "full"],
        ),
    ],
)
def test_events(served: Running, tmp_path: Path, format: str, parameters: dict[str, str], flags: list[str]) -> None:
    answer = served.post("/v1/localize", SCENE, params={**parameters, "format": format, "name": "scene.mp3"})
    assert answer.status_code == 200, answer.text
    file = tmp_path / "out"
    printed("localize", "scene.mp3", "-f", format, "-o", file, *flags)
    assert answer.content == file.read_bytes()
    assert format == "table" or len(answer.content) > 0


@pytest.mark.parametrize("format", ["npz", "parquet"])
@pytest.mark.parametrize(
    ("parameters", "flags"),
    [
        ({}, []),
        ({"per_window": "1", "window": "4"}, ["--per-window", "--window", "4"]),
        ({"frames": "1"}, ["--frames"]),
    ],
)
def test_embeddings(served: Running, tmp_path: Path, format: str, parameters: dict[str, str], flags: list[str]) -> None:
    answer = served.post("/v1/embed", DOG, params={**parameters, "format": format, "name": "dog.flac"})
    assert answer.status_code == 200, answer.text
    file = tmp_path / f"out.{format}"
    printed("embed", "dog.flac", "-o", file, *flags)
    assert answer.content == file.read_bytes()


@pytest.fixture(scope="module")
def with_index(tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("duckdb", reason="an index needs the extra 'search'")
    index = tmp_path_factory.mktemp("index") / "sounds.index"
    printed("index", EXAMPLES, "--index", index)
    with running(index=str(index)) as server:
        yield server, index


@pytest.mark.parametrize("format", choices("search"))
def test_hits_of_words(with_index, format: str) -> None:
    server, index = with_index
    where = "duration < 8"
    texts = ["a dog barking", "rain, heavy"]
    query = [*(("q", text) for text in texts), ("not", "speech"), ("k", "3"), ("where", where), ("format", format)]
    given = {"q": texts, "not": "speech", "k": 3, "where": where, "format": format}
    answers = [server.client.get("/v1/search", params=query), server.client.post("/v1/search", json=given)]
    flags = ["--not", "speech", "-k", "3", "--where", where, "-f", format, "--index", index]
    expected = printed("search", *texts, *flags)
    for answer in answers:
        assert (answer.status_code, answer.content) == (200, expected)


def test_hits_of_a_sound(with_index) -> None:
    server, index = with_index
    answer = server.post("/v1/search", DOG, params={"k": "all", "name": str(DOG)})
    expected = printed("search", "--like", DOG, "-k", "all", "-f", "jsonl", "--index", index)
    assert (answer.status_code, answer.content) == (200, expected)


def test_a_server_without_an_index_says_so(served: Running) -> None:
    answer = served.client.get("/v1/search", params={"q": "rain"})
    assert answer.status_code == 404 and "--index" in answer.json()["error"]["message"]


def test_models_are_those_of_the_command(served: Running) -> None:
    assert served.client.get("/v1/models").content == printed("models", "-f", "json")


def test_a_recording_comes_as_body_form_or_path(served: Running) -> None:
    whole = served.post("/v1/tag", DOG, params={"labels": "rain,a dog barking", "name": "dog.flac"})
    form = served.client.post(
        "/v1/tag", files={"file": ("dog.flac", DOG.read_bytes(), "audio/flac")}, data={"labels": "rain,a dog barking"}
    )
    named = served.client.post("/v1/tag", json={"path": "dog.flac", "labels": ["rain", "a dog barking"]})
    assert whole.status_code == 200 and whole.content == form.content == named.content
    absolute = served.client.post("/v1/tag", json={"path": str(DOG), "label": "rain"})
    assert absolute.json()["file"] == str(DOG)
    unnamed = served.post("/v1/tag", DOG, params={"labels": "rain"})
    assert unnamed.json()["file"] == "-"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/x-ndjson"),
        ("application/json", "application/json"),
        ("text/html;q=0.2, text/csv;q=0.9, application/json;q=0.5", "text/csv; charset=utf-8"),
        ("text/csv;q=0, application/json", "application/json"),
    ],
)
def test_a_client_says_what_it_accepts(served: Running, accept: str, media_type: str) -> None:
    answer = served.post("/v1/tag", DOG, params={"labels": "rain"}, headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)


def test_a_long_answer_is_streamed_and_the_same(served: Running, tmp_path: Path) -> None:
    parameters = {"labels": LABELS, "frames": "true", "label_set": "esc50", "format": "jsonl", "name": "scene.mp3"}
    with served.client.stream("POST", "/v1/localize", content=SCENE.read_bytes(), params=parameters) as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        content = b"".join(answer.iter_bytes())
    file = tmp_path / "out.jsonl"
    printed("localize", "scene.mp3", "-l", LABELS, "--frames", "--label-set", "esc50", "-o", file)
    assert content == file.read_bytes()


BAD = [
    ({"labels": "rain", "thresold": "1"}, 400, "usage"),
    ({"labels": "rain", "threshold": "2"}, 400, "usage"),
    ({"labels": "rain", "threshold": "x"}, 400, "usage"),
    ({"labels": "rain", "top_k": "1.5"}, 400, "usage"),
    ({"labels": "rain", "per_window": "maybe"}, 400, "usage"),
    ({"labels": ",,"}, 400, "usage"),
    ({"labels": "rain", "template": "no place"}, 400, "usage"),
    ({"labels": "rain", "format": "vtt"}, 400, "usage"),
    ({"labels": "rain", "window": "-3"}, 400, "usage"),
    ({"labels": "rain", "window": "nan"}, 400, "usage"),
    ({"labels": "rain", "audio_track": "0"}, 400, "usage"),
    ({"labels": "rain", "audio_track": "7"}, 422, None),
    ({"labels": "rain", "model": "base"}, 400, "usage"),
    ({"label_set": "nobody's"}, 400, "usage"),
    ({"label": "x " * 3000}, 400, "usage"),
    ({"labels": "rain", "settings": "/etc/passwd"}, 400, "usage"),
]


@pytest.mark.parametrize(("parameters", "status", "kind"), BAD)
def test_what_cannot_be_answered_is_refused(served: Running, parameters: dict, status: int, kind: str | None) -> None:
    answer = served.post("/v1/tag", DOG, params=parameters)
    error = answer.json()
    assert (answer.status_code, error["schema"]) == (status, "peaudio.error/1"), error
    assert kind is None or error["error"]["kind"] == kind


def test_a_bad_recording_is_the_commands_own_error(served: Running, tmp_path: Path) -> None:
    for content in (b"", b"RIFF", b"no sound" * 1000):
        (tmp_path / "bad.wav").write_bytes(content)
        ran = Result("tag", tmp_path / "bad.wav", "-l", "rain", "-f", "jsonl")
        assert ran.code == 1
        answer = served.client.post(
            "/v1/tag", files={"file": (str(tmp_path / "bad.wav"), content)}, data={"labels": "rain"}
        )
        assert (answer.status_code, answer.content) == (422, ran.out.encode())
    assert served.post("/v1/tag", params={"labels": "rain"}).status_code == 400  # no recording at all


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"path": 7, "labels": ["rain"]}', "application/json"),
        (b'{"path": "a.wav", "labels": [7]}', "application/json"),
        (b"--x", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\n", "multipart/form-data"),
        (
            b"--x\r\ncontent-disposition: form-data; name=labels\r\n\r\n\xff\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_a_body_that_cannot_be_understood_is_refused(served: Running, content: bytes, kind: str) -> None:
    answer = served.client.post("/v1/tag", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "usage"), answer.text
