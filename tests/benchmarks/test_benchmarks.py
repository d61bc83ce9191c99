"""The benchmarks on a tiny checkpoint: that they run, compare like with like, and print tables."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from benchmarks import __main__ as everything
from benchmarks import (
    clap,
    cluster,
    commands,
    contender,
    cuda,
    decoding,
    first_embedding,
    full_width,
    light,
    linear,
    lineup,
    machine,
    mini,
    models,
    one_search,
    order,
    quickstart,
    ranking,
    recording,
    search,
    sound,
    table,
)
from benchmarks.contender import Contender, Program, Run, alternate, running
from benchmarks.options import Options, parse
from pe_audio_cli import __version__, load

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="NO CUDA CARD: its benchmark is not tested")
TINY = {
    "dac_config": {"encoder_hidden_size": 4, "codebook_dim": 8, "downsampling_ratios": [2, 8, 10, 12]},
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "head_dim": 16,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkpoint like the full-width one, but for its width."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    full_width.write_checkpoint(folder, TINY)
    return folder


@pytest.fixture
def options(folder) -> Options:
    return Options(
        folder,
        torch.get_num_threads(),
        rounds=1,
        lengths=(0.2, 0.4),
        recording=0.4,
        long_recording=0.8,
        windows=(20, 400),
        clips=20,
    )


class Local:
    """A child that is none: the same work, in this process, so that torch is loaded once."""

    def __init__(self, contender: Contender, threads: int) -> None:
        self.name = contender.name
        self._work = contender.build(**contender.arguments)

    def run(self, request) -> Run:
        start = time.perf_counter()
        output = self._work(request)
        return Run(time.perf_counter() - start, output, 10**9)

    def stop(self) -> None:
        pass


@pytest.fixture
def in_this_process(monkeypatch, folder, tmp_path):
    """Neither children nor programs; a program prints what it would be asked for."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ["XDG_CACHE_HOME"])  # the label cache's benchmark changes it
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # and the codec's this
    monkeypatch.setattr(mini, "MINI", folder)

    def pretend(program: Program, request=None) -> Run:
        numbers = [0.5] * len(recording.LABELS)
        if "benchmarks.quickstart" in program.command:
            return Run(2.0, json.dumps(numbers))
        if "benchmarks.one_search" in program.command:
            return Run(0.5, json.dumps({"text": 0.01, "search": 0.02, "hits": []}))
        tags = [{"label": label, "probability": 0.5} for label in recording.LABELS]
        return Run(0.5, json.dumps({"tags": tags}))

    def pretend_to_watch(program: Program, cores: int) -> cluster.Watched:
        listed = program.command[program.command.index("--manifest") + 1].read_text().splitlines()
        return cluster.Watched(2.0 + len(listed) / cores, "\n".join(listed), 10**8)

    monkeypatch.setattr(contender, "Child", Local)
    monkeypatch.setattr(cluster, "watch", pretend_to_watch)
    monkeypatch.setattr(light, "watched", lambda command, environment: light.Use(1.0, 0.5, 1 << 27))
    monkeypatch.setattr(decoding, "N_SHORT", 2)
    monkeypatch.setattr(decoding, "LONG_SECONDS", 1.0)
    monkeypatch.setattr(Program, "run", pretend)
    monkeypatch.setattr(lineup, "MATRIX", 64)
    monkeypatch.setattr(clap.models, "clap", lambda: lambda samples: (samples,))
    monkeypatch.setattr(machine, "has_bfloat16", lambda: True)
    monkeypatch.setattr(machine, "has_compiler", lambda: False)
    monkeypatch.setattr(machine, "gpu", lambda: "a gpu")
    monkeypatch.setattr(cuda, "DEVICE", "cpu")
    monkeypatch.setattr(cuda, "MATRIX", 64)
    monkeypatch.setattr(recording, "has_bfloat16", lambda: True)


def process_id(sign: int = 1):
    return lambda request: (sign * os.getpid(), request)


def sleeps_first():
    asked = []

    def work(request):
        time.sleep(0.3 if not asked else 0)
        asked.append(request)
        return asked

    return work


def fails():
    raise SystemExit(3)


def test_contenders_run_in_processes_of_their_own_and_take_turns(folder):
    here = Contender("here", process_id), Contender("there", process_id, {"sign": -1}, keeps_blocks=True)
    with running(here, threads=1) as children:
        measured = alternate(children, "work", rounds=3)
    assert list(measured) == ["here", "there"]
    (first, asked), (second, _) = measured["here"].output, measured["there"].output
    assert first > 0 > second and first != -second and asked == "work"
    assert all(len(each.seconds) == 3 and 0 < each.median < 1 for each in measured.values())
    assert machine.CPU_INFO.exists() == (measured["here"].peak is not None)


def test_each_turn_may_begin_with_a_run_that_does_not_count(folder):
    with running([Contender("slow once", sleeps_first)], threads=1) as children:
        measured = alternate(children, "work", rounds=2, warm_up="warm-up")
    assert measured["slow once"].output == ["warm-up", "work", "warm-up", "work"]
    assert len(measured["slow once"].seconds) == 2 and max(measured["slow once"].seconds) < 0.2


def test_a_child_that_ends_is_an_error_and_no_wait():
    with pytest.raises(RuntimeError, match="ended with exit code 3"), running([Contender("bad", fails)], 1):
        pass


def test_a_program_that_fails_is_an_error():
    assert Program("good", ["printf", "x"], {}).run().output == "x"
    with pytest.raises(Exception, match="non-zero exit status"):
        Program("bad", ["false"], {}).run()


@pytest.mark.parametrize("task", [lineup.CODEC, lineup.ENCODER])
def test_ours_and_theirs_give_the_same_numbers(folder, task):
    samples = sound.noise(0.2)
    baseline, ours = task.transformers(folder)(samples), task.ours(folder)(samples)
    assert [each.shape for each in baseline] == [each.shape for each in ours]
    assert float(table.error(ours, baseline)) < 1e-5


def test_bfloat16_is_rougher(folder):
    samples = sound.noise(0.2)
    exact, rough = (lineup.ENCODER.ours(folder, dtype)(samples) for dtype in ("float32", "bfloat16"))
    assert 1e-5 < float(table.error(rough, exact)) < 0.1


def test_the_stock_labels_are_ours(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    labels = ["a dog", "rain falling"]
    baseline, cold, warm = (
        models.transformers_labels(folder)(labels),
        models.our_labels(folder, tmp_path, cached=False)(labels),
        models.our_labels(folder, tmp_path, cached=True)(labels),
    )
    assert float(table.error(cold, baseline)) < 1e-5
    assert table.error(warm, cold) == "0"


def test_the_quickstart_finds_what_the_command_finds(folder, tmp_path):
    file = sound.write_noise(tmp_path / "noise.wav", 0.4)
    theirs = quickstart.highest_probabilities(folder, file, recording.LABELS)
    (result,) = load(folder, device="cpu").tag(file, recording.LABELS)
    ours = {tag.label: tag.probability for tag in result.tags}
    assert len(set(theirs)) > 1
    np.testing.assert_allclose([ours[label] for label in recording.LABELS], theirs, atol=1e-5)


def test_the_quickstart_as_a_program(folder, tmp_path, capsys):
    file = sound.write_noise(tmp_path / "noise.wav", 0.4)
    quickstart.main([str(folder), str(file), "rain", "a dog", "--mallopt", "--dtype", "bfloat16"])
    rough = json.loads(capsys.readouterr().out)
    exact = quickstart.highest_probabilities(folder, file, ["rain", "a dog"])
    assert rough != exact
    np.testing.assert_allclose(rough, exact, atol=0.1)


@pytest.mark.parametrize("whose", ["transformers", "ours"])
def test_the_first_embedding_is_that_of_the_clip(folder, capsys, whose):
    first_embedding.main(whose, str(folder))
    assert capsys.readouterr().out.strip() == str(full_width.TEXT_TOWER["hidden_size"])


def test_the_commands_are_those_that_users_type(folder, tmp_path, options):
    tag = commands.Commands(tmp_path, options).tag("tag", folder, tmp_path / "x.wav", ["rain, hail"])
    start = commands.peaudio()
    assert Path(start[0]).exists()
    assert tag.command[: len(start) + 4] == [*start, "tag", tmp_path / "x.wav", "--label", "rain, hail"]


def test_the_command_needs_no_script(tmp_path, options, monkeypatch):
    monkeypatch.setattr(commands, "SCRIPT", tmp_path / "none")
    environment = commands.Commands(tmp_path, options).python("any").environment
    version = Program("version", [*commands.peaudio(), "--version"], environment).run()
    assert version.output == f"peaudio {__version__}\n"


@pytest.mark.parametrize("compiler, found", [(sys.executable, True), ("none-of-that-name", False)])
def test_the_compiler_is_the_one_that_torch_is_told_to_take(monkeypatch, compiler, found):
    monkeypatch.setenv("CXX", compiler)
    assert machine.has_compiler() == found


def test_the_search_that_is_taken_apart_finds_what_both_others_find(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = search._build(tmp_path / "i", 1000)
    ours, theirs = (each(str(built.path), search.QUERY) for each in (one_search.by_index, one_search.by_sql))
    assert [list(hit) for hit in ours["hits"]] == built.best
    assert [list(hit) for hit in theirs["hits"]] == built.best
    assert ours["text"] > 0 and ours["search"] > 0


needs_cores = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux gives a program one core")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg to compare with")
@pytest.mark.usefixtures("in_this_process")
def test_decoding_is_compared_with_ffmpeg(options):
    rows = [line.split(" | ") for line in decoding.measure(options).splitlines() if ": peaudio | " in line]
    assert len(rows) == 3
    assert all(float(seconds) > 0 and float(ratio.strip("| ")) > 0 for _, seconds, ratio in rows)


def test_without_ffmpeg_decoding_is_not_measured(options, monkeypatch):
    monkeypatch.setattr(decoding.shutil, "which", lambda name: None)
    assert table.NOT_MEASURED in decoding.measure(options)


def test_decoding_that_fails_is_an_error(tmp_path):
    missing = decoding.Processes("ours", [[sys.executable, "-c", decoding.SCRIPT, tmp_path / "none.wav"]])
    with pytest.raises(subprocess.CalledProcessError):
        missing.run()


def test_a_watched_command_tells_what_it_took(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        light.watched([sys.executable, "-c", "print(1 / 0)"], {})
    program = "import time\ndata = bytes(range(256)) * 2**18\nwhile time.process_time() < 0.2: pass\ntime.sleep(0.2)"
    use = light.watched([sys.executable, "-c", program], {})
    assert 0.2 <= use.cpu <= use.seconds - 0.2
    assert use.peak > 2**26


def test_the_two_engines_take_turns_on_the_same_work(options, monkeypatch, tmp_path):
    seen = []

    def watch(command, environment):
        seen.append((command, environment.get("PEAUDIO_ENGINE")))
        return light.Use(1.0, 2.0 if environment.get("PEAUDIO_ENGINE") == "torch" else 0.5, 1 << 27)

    monkeypatch.setattr(light, "watched", watch)
    printed = light.measure(options)
    rows = [line.split(" | ") for line in printed.splitlines() if ", onnx | " in line and not line.startswith("| tag")]
    assert [row[4] for row in rows] == ["0.25"] * 3
    commands = [command for command, engine in seen if "/clips" in str(command)]
    assert commands and commands[0::2] == commands[1::2]


def test_silence_is_a_recording_of_its_length_that_takes_no_space(tmp_path):
    file = light.silence(tmp_path / "silence.wav", 3600.0)
    import soundfile

    assert soundfile.info(str(file)).duration == 3600.0
    assert os.name == "nt" or file.stat().st_blocks * 512 < 2**20


@needs_cores
@pytest.mark.usefixtures("in_this_process")
def test_a_table_of_a_cluster_tells_speed_from_start(options):
    rows = [line.split(" | ") for line in cluster.measure(options).splitlines() if line.startswith("| Ray, 2 workers")]
    assert [row[2:5] for row in rows] == [["2.0", f"{2 * options.recording:.1f}", "1.00"]]


@needs_cores
def test_a_program_is_watched_on_its_cores_alone():
    before = os.sched_getaffinity(0)
    program = "import os; print(len(os.sched_getaffinity(0)))"
    with pytest.raises(subprocess.CalledProcessError):
        cluster.watch(Program("bad", [sys.executable, "-c", "print(1 / 0)"], {}), 1)
    watched = cluster.watch(Program("good", [sys.executable, "-c", program], {}), 1)
    assert watched.output == "1\n"
    assert os.sched_getaffinity(0) == before


def test_clap_gives_an_embedding_for_each_piece(monkeypatch):
    import transformers

    small = {"depths": [1, 1], "num_attention_heads": [1, 2], "patch_embeds_hidden_size": 8, "num_hidden_layers": 1}
    text = {
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "hidden_size": 16,
        "intermediate_size": 16,
        "vocab_size": 20,
    }
    config = transformers.ClapConfig(audio_config={**small, "hidden_size": 16}, text_config=text, projection_dim=12)
    monkeypatch.setattr(transformers, "ClapConfig", lambda: config)
    (embeddings,) = models.clap()(sound.noise(10.4))
    assert embeddings.shape == (2, 12)


@needs_card
def test_the_tables_of_a_card(options, monkeypatch):
    monkeypatch.setattr(cuda, "MATRIX", 64)
    monkeypatch.setattr(mini, "MINI", options.folder)
    printed = cuda.measure(options)
    assert printed.count(f"| {lineup.OURS} |") == 5 and table.NOT_MEASURED not in printed


def test_the_operations_are_counted_for_each_frame(folder):
    codec, tower = models.flops(folder, 10)
    # The first convolution: 7 products and sums, for each of 4 channels and 1920 samples.
    assert codec > 10 * 1920 * 4 * 7 * 2
    assert models.flops(folder, 20)[0] == pytest.approx(2 * codec, rel=0.1)
    assert tower > 0


@pytest.mark.parametrize("benchmark", everything.BENCHMARKS, ids=lambda module: module.__name__)
@pytest.mark.usefixtures("in_this_process")
def test_every_benchmark_prints_tables(benchmark, options):
    printed = benchmark.measure(options)
    assert printed.startswith("## ")
    blocks = [block for block in printed.split("\n\n") if block.startswith("|")]
    assert blocks
    for block in blocks:
        header, rule, *rows = block.splitlines()
        assert re.fullmatch(r"\| --- (\| ---: )+\|", rule)
        assert rows and {row.count("|") for row in rows} == {header.count("|")}


@pytest.mark.usefixtures("in_this_process")
def test_what_was_not_measured_is_said_so(monkeypatch, options):
    monkeypatch.setattr(machine, "has_bfloat16", lambda: False)
    rows = lineup.compare(lineup.CODEC, options.folder, [0.2], options).splitlines()
    (ours,) = (row for row in rows if row.startswith(f"| {lineup.OURS} |"))
    (half,) = (row for row in rows if row.startswith(f"| {lineup.BFLOAT16} |"))
    (compiled,) = (row for row in rows if row.startswith(f"| {lineup.COMPILED} |"))
    assert table.NOT_MEASURED not in ours
    assert compiled.count(table.NOT_MEASURED) == len(lineup.HEADER) - 1
    assert half.count(table.NOT_MEASURED) == len(lineup.HEADER) - 1
    monkeypatch.setattr(mini, "MINI", options.folder / "none")
    monkeypatch.setattr(machine, "gpu", lambda: None)
    assert table.NOT_MEASURED in mini.measure(options)
    assert cuda.measure(options).endswith(f"{table.NOT_MEASURED}.")


@pytest.mark.parametrize("long_recording, missing", [(0.8, 0), (None, 3)])
@pytest.mark.usefixtures("in_this_process")
def test_a_long_recording_is_measured_where_asked_for(options, long_recording, missing):
    rows = linear.measure(dataclasses.replace(options, long_recording=long_recording)).splitlines()[-2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in (lineup.OURS, lineup.BFLOAT16)]
    assert {row.count(table.NOT_MEASURED) for row in rows} == {missing}


def benchmark(name, measure):
    module = ModuleType(f"benchmarks.{name}")
    module.measure = measure
    return module


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """Return the results file of three benchmarks, the second of which fails in its second round."""

    def tell(options):
        return f"## Rounds: {options.rounds}"

    def fail(options):
        assert options.rounds < 2
        return "## Alone\n\n| <!-- no name --> |"

    three = benchmark("one", tell), benchmark("other", fail), benchmark("third", tell)
    monkeypatch.setattr(everything, "BENCHMARKS", three)
    return tmp_path / "RESULTS.md"


def headings(results: Path) -> list[str]:
    return [line for line in results.read_text().splitlines() if line.startswith("## ")]


def test_results_stay_until_they_are_measured_again(results):
    everything.main(["--rounds", "1", "--skip", "third"], results)
    assert headings(results) == ["## Rounds: 1", "## Alone"]
    everything.main(["--rounds", "3", "--only", "third"], results)
    assert headings(results) == ["## Rounds: 1", "## Alone", "## Rounds: 3"]
    with pytest.raises(AssertionError):
        everything.main(["--rounds", "2"], results)
    assert headings(results) == ["## Rounds: 2", "## Alone", "## Rounds: 3"]
    everything.main(["--rounds", "1"], results)
    assert headings(results) == ["## Rounds: 1", "## Alone", "## Rounds: 1"]
    assert results.read_text().count("# Benchmarks") == 1
    assert list(results.parent.iterdir()) == [results]


@pytest.mark.parametrize("before", ["", "no results at all"])
def test_results_of_another_machine_stay_under_its_name(results, monkeypatch, before):
    results.write_text(before)
    monkeypatch.setattr(machine, "describe", lambda: "An old one.")
    everything.main(["--rounds", "1", "--only", "other"], results)
    monkeypatch.setattr(machine, "describe", lambda: "A better one.")
    everything.main(["--rounds", "1", "--only", "third"], results)
    assert headings(results) == ["## Alone", "## Rounds: 1"]
    _, alone, third = results.read_text().split("\n## ")
    assert "An old one." in alone and "A better one." in third
    assert f", commit {machine.commit()}, " in third


def test_the_commit_is_told_where_git_knows_it(monkeypatch, tmp_path):
    assert re.fullmatch(r"unknown|[0-9a-f]{7,}(-dirty)?", machine.commit())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.commit() == "unknown"


def test_rates_are_compared_with_the_best_product_of_their_dtype():
    def took(seconds, *output):
        return contender.Measurement((seconds,), output, None)

    one = np.ones(1, np.float32)
    measured = {name: took(1.0) for name in lineup.MATRICES} | {
        "oneDNN matrix product": took(0.5),
        "torch.matmul, bfloat16": took(0.25),
        **{name: took(1.0, one) for name in (lineup.TRANSFORMERS, lineup.TUNED, lineup.OURS, lineup.BFLOAT16)},
    }
    shares = {row[0]: row[3] for row in lineup._rows(list(measured), 2 * lineup.MATRIX**3, measured)}
    assert (shares[lineup.OURS], shares[lineup.BFLOAT16]) == ("0.50", "0.25")


@pytest.mark.parametrize("gpu", [None, "a gpu"])
def test_what_a_gpu_did_stays_where_there_is_none(results, monkeypatch, gpu):
    monkeypatch.setattr(machine, "gpu", lambda: gpu)
    monkeypatch.setattr(machine, "describe", lambda: "Here.")
    on_gpu = benchmark("cuda", lambda options: f"## {machine.gpu()}")
    monkeypatch.setattr(everything, "cuda", on_gpu)
    monkeypatch.setattr(everything, "BENCHMARKS", [on_gpu])
    everything.main(["--rounds", "1"], results)
    assert headings(results) == [f"## {gpu}"]
    results.write_text("<!-- cuda -->\n\n## Before\n")
    everything.main(["--rounds", "1"], results)
    assert headings(results) == ["## Before" if gpu is None else "## a gpu"]


def test_long_runs_are_asked_for():
    assert parse([], "bench", "") == Options()
    long = parse(["--long", "--lengths", "1", "2"], "bench", "")
    assert (long.recording, long.long_recording, long.lengths) == (600, 3600, (1, 2))
    assert (max(long.windows), parse(["--windows", "7", "8"], "bench", "").windows) == (1_000_000, (7, 8))


def test_spearman_is_that_of_the_order():
    numbers = np.array([0.1, 0.9, 0.3, 0.5])
    assert ranking.spearman(numbers, numbers**3) == pytest.approx(1)
    assert ranking.spearman(numbers, -numbers) == pytest.approx(-1)
    assert ranking.spearman(numbers, np.array([0.1, 0.9, 0.5, 0.3])) == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)


def test_an_error_is_relative_to_the_largest_number():
    exact = np.array([1.0, -4.0]), np.array([0.5])
    assert table.error(exact, exact) == "0"
    assert table.error((np.array([1.0, -3.0]), np.array([0.5])), exact) == "2e-01"


def test_the_order_of_a_search_is_that_of_tag(folder, tmp_path, capsys):
    for index in range(5):
        sound.write_noise(tmp_path / f"{index}.wav", 0.2 + 0.1 * index)
    order.main([str(tmp_path), "--model", str(folder), "--labels", "a dog, rain"])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[:3] for row in rows] == [["| a dog", "5", "yes"], ["| rain", "5", "yes"]]


def test_another_order_is_told(folder, tmp_path, capsys, monkeypatch):
    for index in range(3):
        sound.write_noise(tmp_path / f"{index}.wav", 0.2 + 0.1 * index)
    monkeypatch.setattr(
        order.Index,
        "search",
        lambda self, queries, options, do=order.Index.search: [
            dataclasses.replace(result, hits=result.hits[::-1]) for result in do(self, queries, options)
        ],
    )
    with pytest.raises(SystemExit):
        order.main([str(tmp_path), "--model", str(folder), "--labels", "rain"])
    assert "| NO |" in capsys.readouterr().out
