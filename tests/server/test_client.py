"""``--server``: the same command, answered by a server, prints the same bytes."""

from __future__ import annotations

import http.server
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoked import Result, imported
from serving import EXAMPLES, Running, running

from pe_audio_cli.formats.registry import choices
from pe_audio_cli.server.limits import ServerLimits

LABELS = "a dog barking,a rooster crowing,rain falling"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recordings, one of which cannot be read, and the current one."""
    sounds = tmp_path / "sounds"
    shutil.copytree(EXAMPLES, sounds)
    (sounds / "bad.wav").write_bytes(b"no sound")
    (sounds / "empty.wav").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEAUDIO_TOKEN", raising=False)
    return sounds


def both(served: Running, *arguments: str | Path, stdin: bytes | None = None) -> tuple[Result, Result]:
    """What a command prints without a server, and with it."""
    alone = Result(*arguments, stdin=stdin)
    return alone, Result(*arguments, "--server", served.url, stdin=stdin)


def said(ran: Result) -> list[str]:
    """Standard error, without how long it took."""
    return [line for line in ran.err.splitlines() if "times real time" not in line]


@pytest.mark.parametrize("format", [name for name in choices("tag") if name != "parquet"])
@pytest.mark.parametrize("flags", [["-l", LABELS], ["--per-window", "--window", "4", "--top-k", "2"], []])
def test_tags(served: Running, folder: Path, format: str, flags: list[str]) -> None:
    alone, remote = both(served, "tag", "sounds", "sounds/nothing.wav", "-f", format, *flags)
    assert (remote.code, remote.out, said(remote)) == (alone.code, alone.out, said(alone))
    assert alone.code == 1 and len(alone.out) > 100


@pytest.mark.parametrize("format", [name for name in choices("localize") if name not in ("parquet", "textgrid")])
@pytest.mark.parametrize("flags", [["-l", LABELS, "--tidy", "--threshold", "0.02"], ["--settings", "none"]])
def test_events(served: Running, folder: Path, format: str, flags: list[str]) -> None:
    alone, remote = both(served, "localize", "sounds", "-f", format, *flags)
    assert (remote.code, remote.out, said(remote)) == (alone.code, alone.out, said(alone))


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (["tag", "-l", LABELS], "out.parquet"),
        (["localize", "-l", LABELS, "--frames"], "out.jsonl"),
        (["localize", "-l", LABELS], "each/"),
        (["embed", "--frames"], "out.npz"),
        (["embed", "--per-window", "--window", "4"], "out.parquet"),
        (["embed", "--precision", "float16"], "out.npz"),
    ],
)
def test_files(served: Running, folder: Path, command: list[str], output: str) -> None:
    name, *flags = command
    if output == "each/":
        flags += ["-f", "textgrid"]
    for place, more in (("alone", []), ("remote", ["--server", served.url])):
        Path(place).mkdir()
        assert Result(name, "sounds", *flags, "-o", f"{place}/{output}", *more).code == 1
    files = [path.relative_to("alone") for path in Path("alone").rglob("*") if path.is_file() and path.name[0] != "."]
    assert files
    for file in files:
        assert Path("remote", file).read_bytes() == Path("alone", file).read_bytes() or file.suffix == ".journal"


def test_standard_input_and_strange_names(served: Running, folder: Path) -> None:
    alone, remote = both(served, "tag", "-", "-l", "rain", "-f", "jsonl", stdin=(EXAMPLES / "dog.flac").read_bytes())
    assert remote.out == alone.out and alone.code == 0
    strange = folder / 'a "b"; \u00e9\n=1+1,.flac'
    shutil.copy(EXAMPLES / "dog.flac", strange)
    alone, remote = both(
        served, "tag", strange, "--label", 'rain, "heavy"\u2028', "--template", "it is {}", "-f", "csv"
    )
    assert (remote.code, remote.out) == (0, alone.out)


def test_warnings_are_told_too(served: Running, folder: Path) -> None:
    cut = folder / "cut.wav"
    content = (EXAMPLES / "rooster.wav").read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    alone, remote = both(served, "tag", cut, "-l", "a theorem of algebra", "-f", "jsonl")
    assert (remote.out, remote.err) == (alone.out, alone.err)
    assert "warning" in alone.err


def test_a_run_that_is_finished_is_not_repeated(served: Running, folder: Path) -> None:
    (folder / "bad.wav").unlink()
    (folder / "empty.wav").unlink()
    arguments = ["tag", "sounds", "-l", LABELS, "--server", served.url]
    assert Result(*arguments, "-o", "whole.jsonl").code == 0
    again = Result(*arguments, "-o", "whole.jsonl", "--resume")
    assert again.code == 0 and "6 skipped" in again.err
    assert Result(*arguments, "-o", "whole.jsonl").code == 2


def test_the_token_comes_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(token="secret") as server:
        arguments = ["tag", "sounds/dog.flac", "-l", "rain", "-f", "jsonl", "--server", server.url]
        refused = Result(*arguments)
        assert refused.code == 2 and "token" in refused.err and refused.out == ""
        monkeypatch.setenv("PEAUDIO_TOKEN", "secret")
        assert Result(*arguments).code == 0


def test_a_busy_server_is_asked_again(folder: Path) -> None:
    with running(ServerLimits(queue=1)) as server:
        alone, remote = both(server, "tag", *sorted(EXAMPLES.iterdir()), "-l", "rain", "-f", "jsonl")
        assert (remote.code, remote.out) == (0, alone.out)


def test_a_limit_of_the_server_is_the_recordings_error(folder: Path) -> None:
    with running(ServerLimits(max_upload=0.1)) as server:
        ran = Result("tag", "sounds", "-l", "rain", "-f", "jsonl", "--server", server.url)
        kinds = [each["error"]["kind"] for each in ran.objects if "error" in each]
        assert ran.code == 1 and "too-large" in kinds
        assert any("tags" in each for each in ran.objects)  # the smaller ones


REFUSED = [
    (["-m", "base"], "runs mini"),
    (["--plot", "a.png"], "--plot"),
    (["--device", "cpu"], "--device"),
    (["--threads", "1"], "--threads"),
    (["--engine", "ray"], "--engine"),
    (["--taught", "a.labels"], "--taught"),
]


@pytest.mark.parametrize(("flags", "said"), REFUSED)
def test_what_a_server_does_not_do_is_refused(served: Running, folder: Path, flags: list[str], said: str) -> None:
    ran = Result("tag", "sounds", "-l", "rain", *flags, "--server", served.url, "-o", "out.csv")
    assert ran.code == 2 and said in ran.err and not Path("out.csv").exists(), ran


class Stranger(http.server.BaseHTTPRequestHandler):
    """A server of something else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    do_POST = do_GET

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_no_server_of_ours_is_one_line(folder: Path, stranger: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    addresses = [stranger, f"http://127.0.0.1:{port}", "ftp://a", "nonsense", "http://", "http://u:secret@127.0.0.1:1"]
    for address in [*addresses, "http://[::1", "http://a:b"]:
        ran = Result("tag", "sounds/dog.flac", "-l", "rain", "--server", address)
        assert ran.code in (1, 2) and ran.out == "" and len(ran.err.strip().splitlines()) == 1, ran
        assert "Traceback" not in ran.err and "unexpectedly" not in ran.err and "secret" not in ran.err


def test_the_client_is_light(served: Running) -> None:
    modules = imported("tag", EXAMPLES / "dog.flac", "-l", "rain", "--server", served.url)
    assert modules.isdisjoint({"torch", "transformers", "onnxruntime", "starlette", "uvicorn", "tokenizers"})
