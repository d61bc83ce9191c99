"""A server beside the work that it does: one client's wait, and the throughput of many clients at once.

Run by itself, ``python -m benchmarks.serve``: it needs the extra ``serve``, and the shipped checkpoint.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.options import Options, run_alone
from benchmarks.table import section, table
from pe_audio_cli import load
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.framing import SAMPLE_RATE, whole_frames
from pe_audio_cli.audio.inputs import DataInput
from pe_audio_cli.models.backends.loading import load_encoder
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.models.registry import ModelOptions, find_checkpoint

__all__ = ["measure"]

SECONDS = 5.0  # of audio in each request
CLIENTS = 16
LOAD_SECONDS = 60.0
PATH = "/v1/tag?labels=rain,a+dog+barking"
LISTENING = "listening on http://127.0.0.1:"


class Recordings:
    """Recordings of which no two are the same, so that no cache answers for the encoder."""

    def __init__(self) -> None:
        self._samples = 0.1 * np.random.default_rng(0).standard_normal(round(SECONDS * SAMPLE_RATE))
        self._lock, self._n = threading.Lock(), 0

    def next(self) -> bytes:
        """Return a WAV file."""
        with self._lock:
            self._n += 1
            place = self._n
        content = io.BytesIO()
        soundfile.write(content, np.roll(self._samples, 7 * place), SAMPLE_RATE, "PCM_16", format="WAV")
        return content.getvalue()


@dataclass
class Load:
    """The outcome of many clients at once: the time of each answer, and the number of each status."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    rate: float = 0.0


def measure(options: Options) -> str:
    """Two tables."""
    recordings = Recordings()
    with _server(options.threads) as (port, process):
        one = _one_client(port, process, recordings, options)
        batch_before = _batch_rate(recordings, options)
        memory_before = _memory(process)
        many = _many_clients(port, recordings)
        memory_after = _memory(process)
        batch_after = _batch_rate(recordings, options)
    batch = (batch_before + batch_after) / 2
    statuses = ", ".join(f"{count} of {status}" for status, count in sorted(many.statuses.items()))
    waits = statistics.quantiles(many.seconds, n=100)
    rows = [
        ["answers per second", f"{many.rate:.2f}"],
        ["of a batch run's", f"{many.rate / batch:.2f}"],
        ["p50, seconds", f"{waits[49]:.3f}"],
        ["p99, seconds", f"{waits[98]:.3f}"],
        ["statuses", statuses],
        ["memory before and after, MB", f"{memory_before:.0f}, {memory_after:.0f}"],
    ]
    text = (
        f"`mini` on {options.cpu} tags recordings of {SECONDS:g} s, no two of them the same. One client by turns with "
        f"decoding and encoding in a process that is warm; CPU time is that of the server, and of this process. Then "
        f"{CLIENTS} clients at once for {LOAD_SECONDS:g} s, beside `Model.tag` of {4 * CLIENTS}, before and behind."
    )
    return section("Server", text, one, table([f"{CLIENTS} clients", ""], rows))


def _one_client(port: int, process: int, recordings: Recordings, options: Options) -> str:
    encoder = load_encoder(find_checkpoint(ModelOptions(), "tag"))
    connection = http.client.HTTPConnection("127.0.0.1", port)
    own, whole = [], []
    own_cpu, server_cpu = [], []
    for turn in range(4 * options.rounds + 2):
        content, other = recordings.next(), recordings.next()
        began, cpu = time.perf_counter(), time.process_time()
        _decode_and_encode(content, encoder)
        between, cpu = time.perf_counter(), time.process_time() - cpu
        before = _cpu_seconds(process)
        connection.request("POST", PATH, other)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        if turn >= 2:  # the first ones warm both up
            own.append(between - began)
            whole.append(time.perf_counter() - between)
            own_cpu.append(cpu)
            server_cpu.append(_cpu_seconds(process) - before)
    connection.close()
    ratio = statistics.median(there / here for here, there in zip(own, whole, strict=True))
    more = statistics.median(there - here for here, there in zip(own, whole, strict=True))
    rows = [
        ["decoding and encoding, seconds", f"{statistics.median(own):.4f}"],
        ["over HTTP, seconds", f"{statistics.median(whole):.4f}"],
        ["ratio, of pairs", f"{ratio:.2f}"],
        ["decoding and encoding, CPU seconds", f"{statistics.mean(own_cpu):.4f}"],
        ["over HTTP, CPU seconds of the server", f"{statistics.mean(server_cpu):.4f}"],
        ["difference, of pairs, ms", f"{1000 * more:.1f}"],
    ]
    return table(["one client", ""], rows)


def _decode_and_encode(content: bytes, encoder: Encoder) -> None:
    with open_audio(DataInput("noise", content)) as stream:
        frames = np.concatenate(list(whole_frames(stream.blocks())))
    encoder.encode_windows(encoder.encode_codec(frames)[None])


def _batch_rate(recordings: Recordings, options: Options) -> float:
    """Return the recordings per second of the Python API."""
    model = load(threads=options.threads)
    list(model.tag(recordings.next(), ["rain", "a dog barking"]))
    contents = [recordings.next() for _ in range(CLIENTS * 4)]
    began = time.perf_counter()
    assert all(hasattr(each, "tags") for each in model.tag(contents, ["rain", "a dog barking"]))
    return len(contents) / (time.perf_counter() - began)


def _many_clients(port: int, recordings: Recordings) -> Load:
    load, lock = Load(), threading.Lock()
    contents = [[recordings.next() for _ in range(40)] for _ in range(CLIENTS)]
    end = time.perf_counter() + LOAD_SECONDS

    def ask(own: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < end:
            content = own.pop() if own else recordings.next()
            began = time.perf_counter()
            connection.request("POST", PATH, content)
            answer = connection.getresponse()
            answer.read()
            with lock:
                load.seconds.append(time.perf_counter() - began)
                load.statuses[answer.status] += 1
        connection.close()

    threads = [threading.Thread(target=ask, args=(own,)) for own in contents]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.rate = load.statuses[200] / (time.perf_counter() - began)
    return load


@contextlib.contextmanager
def _server(threads: int) -> Iterator[tuple[int, int]]:
    """Run a server; yields its port and its process."""
    command = [sys.executable, "-m", "pe_audio_cli", "serve", "--port", "0", "--threads", str(threads)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if LISTENING in line)
            yield int(line.partition(LISTENING)[2]), process.pid
        finally:
            process.terminate()


def _cpu_seconds(process: int) -> float:
    """Return the CPU time of a process; not a number where there is no /proc."""
    stat = Path(f"/proc/{process}/stat")
    if not stat.is_file():
        return float("nan")
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(process: int) -> float:
    """Return the megabytes that a process has in memory; not a number where there is no /proc."""
    status = Path(f"/proc/{process}/status")
    if not status.is_file():
        return float("nan")
    return int(status.read_text().partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    run_alone(measure, "serve", __doc__)
