"""``peaudio listen`` on pipes and streams, in a process of its own: endless sound, signals, memory, times."""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import json
import os
import shutil
import signal
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import soundfile

from pe_audio_cli.errors import InputError, UsageError
from pe_audio_cli.live.sources.streams import PipeSource, RawFormat, StreamSource

FAKE = Path(__file__).parents[1] / "fake_peaudio.py"
RATE = 48_000
LIMIT = 0xFFFFFFFF  # what programs write into the header of a WAV that does not end


class Start(Protocol):
    def __call__(self, *arguments: str, stdin: int | None = subprocess.PIPE) -> subprocess.Popen[bytes]: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a command; none outlives its test."""
    with contextlib.ExitStack() as runs:

        def begin(*arguments: str, stdin: int | None = subprocess.PIPE) -> subprocess.Popen[bytes]:
            command = [sys.executable, str(FAKE), "listen", *arguments, "-l", "loud"]
            run = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            runs.enter_context(run)
            runs.callback(run.kill)
            return run

        yield begin


def header(size: int = LIMIT) -> bytes:
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return b"RIFF" + struct.pack("<I", LIMIT) + b"WAVEfmt " + fmt + b"data" + struct.pack("<I", size)


def pcm(seconds: float, level: float) -> bytes:
    samples = np.full(round(seconds * RATE), level * 32767, "<i2")
    samples[::2] *= -1
    return samples.tobytes()


def objects(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def events(output: bytes) -> list[tuple[str, float]]:
    return [(o["event"], o.get("offset", o["onset"])) for o in objects(output) if o["type"] == "event"]


def next_event(run: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert run.stdout is not None
    for line in run.stdout:
        found: dict[str, Any] = json.loads(line)
        if found["type"] == "event":
            return found
    raise AssertionError(run.communicate())


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_endless_pipe_within_a_second_with_its_events_closed(
    start: Start, number: signal.Signals
) -> None:
    run = start("-")
    assert run.stdin is not None
    run.stdin.write(header() + pcm(2, 0.0) + pcm(2, 0.06))
    run.stdin.flush()
    found = next_event(run)
    assert (found["event"], found["onset"]) == ("start", 2.0)
    run.send_signal(number)
    begun = time.monotonic()
    output, said = run.stdout.read(), run.stderr.read()  # type: ignore[union-attr]
    assert run.wait(timeout=10) == 0, said
    assert time.monotonic() - begun < 1.5  # of which half are for a busy machine
    (end,) = [each for each in objects(output) if each["type"] == "event"]
    assert end["event"] == "end" and 2.5 < end["offset"] <= 4.0
    assert objects(output)[-1]["status"] == "ended" and said == b""
    run.stdin.close()


@pytest.mark.parametrize("raw", [None, "s16le,48000,1"])
def test_a_pipe_ends_with_its_sound(start: Start, raw: str | None) -> None:
    sound = (b"" if raw else header(0x7FFFF000)) + pcm(1, 0.0) + pcm(1, 0.06) + pcm(2.5, 0.0)
    run = start("-", *(["--raw", raw] if raw else []))
    output, said = run.communicate(sound, timeout=60)
    assert (run.returncode, said) == (0, b"")
    assert events(output) == [("start", 1.0), ("end", 2.0)]


def test_sound_goes_on_beyond_the_length_in_the_header(start: Start) -> None:
    """As a recorder's does that has run for hours."""
    output, _ = start("-").communicate(header(2 * RATE) + pcm(2, 0.0) + pcm(1, 0.06), timeout=60)
    assert events(output) == [("start", 2.0), ("end", 3.0)]


def test_what_is_no_sound_is_one_line_and_an_exit_code(start: Start) -> None:
    run = start("-")
    _, said = run.communicate(b"<html>" * 20_000, timeout=60)
    assert run.returncode == 1
    assert len(said.splitlines()) == 1 and b"no sound comes from it" in said


@pytest.mark.parametrize("text", ["", "s16le", "s16le,48000", "s99le,48000,1", "s16le,0,1", "s16le,48000,0", "mp3,1,1"])
def test_other_raw_formats_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--raw takes"):
        RawFormat.parse(text)


@pytest.mark.parametrize(("codec", "dtype"), [("s16le", "<i2"), ("f32le", "<f4"), ("s32be", ">i4"), ("u8", "u1")])
def test_raw_samples_of_two_channels_are_mixed(start: Start, codec: str, dtype: str) -> None:
    wave = np.sin(np.arange(2 * RATE) * 0.05) * 0.5
    kind = np.dtype(dtype)
    scaled = wave if kind.kind == "f" else wave * np.iinfo(kind).max if kind.kind == "i" else wave * 127 + 128
    reader, writer = os.pipe()
    content = np.stack([scaled, scaled], axis=1).astype(kind).tobytes()
    threading.Thread(target=lambda: (os.write(writer, b""), _write_all(writer, content)), daemon=True).start()
    with os.fdopen(reader, "rb") as opened:
        heard = np.concatenate(list(PipeSource("-", opened, RawFormat(codec, RATE, 2)).blocks()))
    np.testing.assert_allclose(heard, wave, atol=2 / 127)  # of the coarsest, a step of rounding down


def _write_all(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)


class Radio(http.server.BaseHTTPRequestHandler):
    """A stream that begins anew with each connection, and ends after it has been played; some paths misbehave."""

    content = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/mpeg")
        self.end_headers()
        try:
            size = len(self.content) // 60
            for start in range(0, len(self.content), size):
                self.wfile.write(self.content[start : start + size])
                time.sleep(0.1)
            if "stall" in self.path:
                time.sleep(30)
        except OSError:
            pass

    def log_message(self, *about: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


@pytest.fixture
def radio() -> Iterator[str]:
    encoded = io.BytesIO()
    time_axis = np.arange(6 * RATE)
    soundfile.write(encoded, np.where(time_axis > 2 * RATE, 0.1, 0) * np.sin(time_axis * 0.05), RATE, format="MP3")
    Radio.content = encoded.getvalue()
    with Server(("127.0.0.1", 0), Radio) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_stream_that_ends_is_connected_to_again(start: Start, radio: str) -> None:
    run = start(f"{radio}/live.mp3?token=secret", stdin=None)
    found: list[dict[str, Any]] = []
    assert run.stdout is not None and run.stderr is not None
    for line in run.stdout:
        found.append(json.loads(line))
        if len([each for each in found if each["type"] == "event"]) == 3:
            break
    run.send_signal(signal.SIGTERM)
    rest, said = run.stdout.read(), run.stderr.read()
    assert run.wait(timeout=10) == 0
    kinds = [each.get("status", each.get("event")) for each in found]
    assert kinds == ["listening", "start", "end", "dropped", "reconnected", "start"]
    first, second = (each for each in found if each.get("event") == "start")
    assert second["onset"] - first["onset"] > 6 + 1  # it was played, and the pause went by
    assert b"secret" not in json.dumps(found).encode() + rest + said


def test_a_stream_that_stalls_is_lost(radio: str) -> None:
    begun = time.monotonic()
    with pytest.raises(InputError, match="no sound comes from it"):
        for _ in StreamSource(f"{radio}/stall.mp3", 1.0).blocks():
            pass
    assert time.monotonic() - begun < 15


def test_a_server_that_is_not_there_is_an_error_without_its_secrets(start: Start) -> None:
    run = start("http://user:hunter2@127.0.0.1:9/live?token=hunter2", stdin=None)
    output, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert b"hunter2" not in output + said and b"no sound comes from it" in said
    assert len(said.splitlines()) == 1


def test_a_playlist_cannot_make_it_read_files(start: Start, tmp_path: Path) -> None:
    """Nor what they are pieces of: an HLS playlist may name anything."""
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, np.zeros(RATE), RATE)
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(text)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *about: None  # type: ignore[attr-defined]
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = StreamSource(f"http://127.0.0.1:{server.server_address[1]}/list.m3u8", 1.0)
        with pytest.raises(InputError):
            list(source.blocks())
        server.shutdown()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here, which makes the HLS stream")
def test_hls_is_heard(start: Start, tmp_path: Path) -> None:
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=4:sample_rate=48000"]
    made = ["-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_list_size", "0", str(tmp_path / "list.m3u8")]
    subprocess.run(["ffmpeg", "-loglevel", "error", *sound, *made], check=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = StreamSource(f"http://127.0.0.1:{server.server_address[1]}/list.m3u8", 5.0)
        heard = np.concatenate(list(source.blocks()))
        server.shutdown()
    assert 3.9 < len(heard) / RATE < 4.2 and np.abs(heard).max() > 0.05
