"""Runs on a real Ray cluster of two nodes, on this machine: equal to the local engine, whatever breaks."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import REFERENCE, logged, write_tone
from typer.testing import CliRunner

from pe_audio_cli.api import load
from pe_audio_cli.cli.app import app
from pe_audio_cli.errors import RunError, UsageError
from pe_audio_cli.inference.runner import tag, window_options
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.registry import ModelOptions, find_checkpoint
from pe_audio_cli.options import TagOptions
from pe_audio_cli.results import FileError, TagResult

ray = pytest.importorskip("ray", reason="no run on a cluster is tested: pip install 'pe-audio-cli[ray]'")

from ray.cluster_utils import Cluster  # noqa: E402 - only where Ray is

from pe_audio_cli.cluster import ray_engine as engine_module  # noqa: E402
from pe_audio_cli.cluster.dispatch import Lost  # noqa: E402
from pe_audio_cli.cluster.ray_engine import ClusterOptions, RayEngine  # noqa: E402

pytestmark = [
    pytest.mark.timeout(300),
    # Ray's own processes and threads.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

MODEL = str(REFERENCE / "pe-a-frame-tiny")
LABELS = ["a dog barking", "rain falling", "a door knock"]
STORE = 150 << 20  # bytes of a node's object store
NODE = {"num_cpus": 1, "object_store_memory": STORE}
# A node counts as lost after two seconds instead of half a minute.
HEALTH = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1_000, "health_check_failure_threshold": 2}
# Ray's workers would give way to whatever else runs, which is other tests, and take many times as long.
PRIORITY = {"worker_niceness": 0}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


CLIENT_PORT = free_port()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes of a CPU each, to which this process is connected."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")  # with it, Ray's servers for ray:// clients at times die at birth
        patch.setenv("PEAUDIO_MODEL", MODEL)
        head = {**NODE, "include_dashboard": False, "_system_config": {**HEALTH, **engine_module.KEEP_IDLE, **PRIORITY}}
        head |= {"ray_client_server_port": CLIENT_PORT, "runtime_env_agent_port": free_port()}
        made = Cluster(initialize_head=True, head_node_args=head)
        try:
            made.add_node(**NODE)
            ray.init(made.address, log_to_driver=False, logging_level="ERROR")
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of different lengths and rates, of which two are none."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for index in range(8):
        rate = [8_000, 22_050, 44_100, 48_000][index % 4]
        noise = rng.standard_normal((round((0.3 + 0.6 * index) * rate), 1 + index % 2))
        soundfile.write(folder / f"{index}.flac", np.clip(0.1 * noise, -1, 1), rate)
    (folder / "2x.wav").write_text("no recording")
    (folder / "4x.wav").write_bytes(b"")
    return folder


class Command:
    """The output and the exit code of a command of this process."""

    def __init__(self, *arguments: str | Path) -> None:
        ran = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
        self.code, self.out, self.err = ran.exit_code, ran.stdout, ran.stderr


ON_RAY = ("--engine", "ray", "--workers", "2")
ON_ONE_WORKER = ("--engine", "ray", "--workers", "1")  # each takes seconds to start
LABELED = tuple(itertools.chain.from_iterable(("--label", label) for label in LABELS))


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def site(folder) -> Iterator[str]:
    """The address of a server of the recordings."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def long(folder) -> Path:
    """A recording of two segments."""
    noise = np.random.default_rng(1).standard_normal(8_000 * 336)
    soundfile.write(folder.parent / "long.flac", np.clip(0.1 * noise, -1, 1), 8_000)
    return folder.parent / "long.flac"


# The long recording, which takes long, is put together from its segments in the second.
@pytest.mark.parametrize(
    ("command", "more"),
    [(("tag", "--per-window", "--window", "2"), []), (("localize", "--frames"), ["long.flac"])],
    ids=["tag", "localize"],
)
def test_tags_and_events_equal_those_of_the_local_engine(cluster, folder, long, site, monkeypatch, command, more):
    monkeypatch.chdir(folder.parent)
    address = f"{site}/3.flac"
    inputs = ("gone.wav", f"{folder.name}/5.flac", *more, folder, address, f"{folder.name}/5.flac")
    local = Command(*command, *inputs, *LABELED, "-f", "jsonl", "--threads", "1", "--batch-size", "3")
    spread = Command(*command, *inputs, *LABELED, "-f", "jsonl", *ON_RAY)
    assert spread.out == local.out
    assert spread.code == local.code == 1
    lines = [json.loads(line) for line in spread.out.splitlines()]
    first = ["gone.wav", f"{folder.name}/5.flac", *more, str(folder / "0.flac")]
    assert [line["file"] for line in lines][: len(first)] == first
    assert [line.get("error", {}).get("kind") for line in lines].count(None) == 11 + len(more)
    assert all(line["duration"] == 336 and line["events"] for line in lines if line["file"] in more)
    assert [line for line in spread.err.splitlines() if "done" not in line] == [
        line for line in local.err.splitlines() if "done" not in line
    ]


def test_embeddings_equal_those_of_the_local_engine(cluster, folder, tmp_path):
    for name, more in {"local.npz": ("--threads", "1"), "ray.npz": ON_ONE_WORKER}.items():
        assert Command("embed", folder, "-o", tmp_path / name, "--window", "2", "--frames", *more).code == 1
    with np.load(tmp_path / "local.npz") as local, np.load(tmp_path / "ray.npz") as spread:
        assert local.files == spread.files
        assert len(local["embedding"]) > 400
        for name in local.files:
            np.testing.assert_array_equal(spread[name], local[name])


def many(tmp_path: Path, n: int = 120) -> list[str]:
    """Short recordings, each with a sound of its own; every eleventh is none."""
    files = [write_tone(tmp_path / f"{index:03}.wav", seconds=0.5, level=0.001 * (index + 1)) for index in range(n)]
    for file in files[7::11]:
        file.write_text("no recording")
    return [str(file) for file in files]


def disturbed_run(files: list[str], disturb) -> list[TagResult | FileError]:
    """The results of a run that is disturbed when the first of them is there."""
    model = ModelOptions(MODEL)
    with RayEngine(ClusterOptions(workers=2), model, "tag", DeviceOptions()) as engine:
        encoder = engine.encoder(find_checkpoint(model, "tag"))
        encoding = EncodeOptions(window_options("tag"), engine=engine)
        results = tag(files, encoder, Query.ask(encoder, LABELS), TagOptions(), encoding)
        found = [next(results)]
        disturb()
        return [*found, *results]


def workers_of(stage: str) -> list[int]:
    """The processes that now run a stage of the pipeline, by what Ray calls them."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if stage.encode() in line.read_bytes():
                found.append(int(line.parent.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds processes as Linux names them")


@needs_proc
def test_an_actor_that_is_killed_costs_no_result(cluster, tmp_path):
    files = many(tmp_path)

    def kill() -> None:
        actors = workers_of("ray::MapWorker")
        assert actors
        os.kill(actors[0], signal.SIGKILL)

    assert disturbed_run(files, kill) == list(load(MODEL, threads=1).tag(files, LABELS))


@needs_proc
def test_a_killed_pipeline_actor_costs_no_result(cluster, tmp_path):
    files = many(tmp_path)

    def kill() -> None:
        (actor,) = workers_of("ray::PipelineActor")
        os.kill(actor, signal.SIGKILL)

    with logged() as told:
        found = disturbed_run(files, kill)
    assert found == list(load(MODEL, threads=1).tag(files, LABELS))
    assert any("sent again" in line for line in told)


def test_a_node_that_is_lost_costs_no_result(cluster, tmp_path, monkeypatch):
    """There is no room left for one of the two workers, so that Ray alone would keep what it had until the end."""
    monkeypatch.setattr(engine_module, "WATCH_SECONDS", 0.5)
    monkeypatch.setattr(engine_module, "SHRUNK_SECONDS", 3.0)
    files = many(tmp_path)
    (node,) = cluster.worker_nodes
    try:
        found = disturbed_run(files, lambda: cluster.remove_node(node, allow_graceful=False))
    finally:
        cluster.add_node(**NODE)
    assert found == list(load(MODEL, threads=1).tag(files, LABELS))


def test_a_checkpoint_that_a_worker_does_not_find_ends_the_run(cluster, checkpoint_copy, tmp_path):
    file = write_tone(tmp_path / "a.wav")
    model = ModelOptions(str(checkpoint_copy))
    with RayEngine(ClusterOptions(workers=1), model, "tag", DeviceOptions()) as engine:
        encoder = engine.encoder(find_checkpoint(model, "tag"))
        query = Query.ask(encoder, LABELS)
        (checkpoint_copy / "model.safetensors").unlink()
        encoding = EncodeOptions(window_options("tag"), engine=engine)
        with pytest.raises(RunError, match=r"a worker cannot load the model: .* holds no model\.safetensors"):
            list(tag([str(file)], encoder, query, TagOptions(), encoding))


@contextlib.contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen]:
    """``peaudio`` in a process of its own, which does not outlive the test."""
    program = "from pe_audio_cli.cli.app import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_run_goes_on_by_shards_after_its_driver_was_killed(cluster, tmp_path):
    many(tmp_path / "in", n=100)
    command = ("tag", tmp_path / "in", *LABELED, "--shard-size", "8")
    assert Command(*command, "-o", tmp_path / "whole", "--threads", "1").code == 1
    on_ray = (*command, "-o", tmp_path / "out", "--resume", *ON_RAY, "--ray-address", cluster.address)
    with started(*on_ray) as process:
        while not (tmp_path / "out" / "part-00001.jsonl").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.kill()
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    with started(*on_ray) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert "skipped (done earlier)" in err
    # Journals stay, since some recordings failed, and tell times of change.
    shards, whole = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.name[0] != "."}
        for name in ("out", "whole")
    )
    assert len(whole) == 14
    assert shards == whole


def test_a_cluster_may_be_reached_from_outside(cluster, folder):
    local = Command("tag", folder, *LABELED, "-f", "jsonl", "--threads", "1")
    with started("tag", folder, *LABELED, *ON_ONE_WORKER, "--ray-address", f"ray://127.0.0.1:{CLIENT_PORT}") as process:
        out, err = process.communicate()
    assert out == local.out, err
    assert process.returncode == 1
    assert len(err.splitlines()) == 5


def test_an_interrupted_run_ends_with_what_is_done(cluster, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(30 * many(tmp_path)))
    command = ("tag", "--manifest", listed, *LABELED, *ON_ONE_WORKER, "--ray-address", cluster.address)
    with started(*command) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, err = process.stdout.read(), process.stderr.read()  # communicate() leaves out what was read ahead
        assert process.wait() == 130
    assert all(json.loads(line) for line in (first + rest).splitlines())
    assert len((first + rest).splitlines()) < 30 * 120
    assert "Traceback" not in err


def test_no_cluster_and_no_room_are_refused(cluster, tmp_path):
    with started("tag", write_tone(tmp_path / "a.wav"), "-l", "x", *ON_RAY, "--ray-address", "127.0.0.1:9") as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "no Ray cluster can be used at 127.0.0.1:9" in err
    with pytest.raises(UsageError, match="no node of the cluster has room for a worker, which takes 1 CPUs and 1 GPUs"):
        RayEngine(ClusterOptions(gpus_per_worker=1.0), ModelOptions(MODEL), "tag", DeviceOptions()).__enter__()


DEAD_AT_BIRTH = """Initialization failure from server:
Traceback (most recent call last):
  File "ray/util/client/server/proxier.py", line 772, in Datapath
    raise RuntimeError(
RuntimeError: Starting Ray client server failed. See ray_client_server_23000.err for detailed logs.
"""


@pytest.mark.parametrize(("failures", "error"), [(2, None), (3, UsageError)])
def test_a_client_server_that_crashes_at_start_is_retried(monkeypatch, failures, error):
    tries = []

    def init(address: str, **_) -> None:
        tries.append(address)
        if len(tries) <= failures:
            raise ConnectionAbortedError(DEAD_AT_BIRTH)

    monkeypatch.setattr(engine_module.ray, "init", init)
    monkeypatch.setattr(engine_module, "_check_reachable", lambda address: None)
    engine = RayEngine(ClusterOptions("ray://head:10001"), ModelOptions(MODEL), "tag", DeviceOptions())
    with pytest.raises(error) if error is not None else contextlib.nullcontext():
        engine._connect()
    assert tries == 3 * ["ray://head:10001"]


@pytest.mark.parametrize("more", [{"workers": 0}, {"gpus_per_worker": -0.5}])
def test_impossible_amounts_are_refused(more):
    with pytest.raises(UsageError, match="or more: got"):
        ClusterOptions(**more)


def test_a_watch_tolerates_a_smaller_cluster_for_a_while(monkeypatch):
    now, room = 0.0, 4
    monkeypatch.setattr(engine_module.time, "monotonic", lambda: now)
    watch = engine_module._CapacityWatch(lambda: room)
    for now, room in [(10, 4), (20, 6), (30, 5), (40, 3), (50, 6), (60, 5), (70, 5), (80, 5), (84, 5)]:  # noqa: B007
        watch.look()
    now = 90
    with pytest.raises(Lost, match="room for 6 workers to room for 5"):
        watch.look()


def test_a_machine_without_ray_is_told_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    ran = Command("tag", write_tone(tmp_path / "a.wav"), "-m", MODEL, "-l", "x", "--engine", "ray")
    assert ran.code == 2
    assert ran.err == "peaudio: --engine ray needs ray: pip install 'pe-audio-cli[ray]'\n"


def test_flags_of_a_cluster_are_refused_without_one(tmp_path):
    ran = Command("tag", write_tone(tmp_path / "a.wav"), "-m", MODEL, "-l", "x", "--workers", "2")
    assert ran.code == 2
    assert "--engine ray" in ran.err
