"""``peaudio models`` and ``models pull``, against a hub on localhost."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stub_hub import StubHub
from support import REFERENCE, write_tone
from typer.testing import CliRunner, Result

from pe_audio_cli.cli.app import app
from pe_audio_cli.models import registry
from pe_audio_cli.models.hub import cached

TAG, LOCALIZE = "facebook/pe-av-base", "facebook/pe-a-frame-base"
PEAUDIO = [sys.executable, "-c", "from pe_audio_cli.cli.app import main; main()"]


def peaudio(*arguments: str | os.PathLike[str]) -> Result:
    ran = CliRunner().invoke(app, [os.fspath(argument) for argument in arguments])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran


def listed() -> dict[tuple[str, str], dict]:
    """Return the rows of ``models`` by name and the first command that they are for."""
    ran = peaudio("models", "--format", "json")
    assert ran.exit_code == 0
    return {(item["name"], item["for"][0]): item for item in json.loads(ran.stdout)}


def row(name: str, command: str) -> str:
    """The line of the table."""
    (line,) = [
        line for line in peaudio("models").stdout.splitlines() if line.split()[0] == name and f" {command} " in line
    ]
    return line


class TestList:
    def test_every_name_is_there_before_anything_is_fetched(self, hub):
        names = {(size, command) for size in ("small", "base", "large") for command in ("tag", "localize")}
        assert names <= listed().keys()
        assert all(listed()[name]["folder"] is None and listed()[name]["bytes"] == 0 for name in names)
        assert row("base", "localize").endswith("not here: peaudio models pull base --for localize")

    def test_what_ships_is_here(self, hub, tmp_path, monkeypatch):
        monkeypatch.setattr(registry, "SHIPPED", tmp_path)
        monkeypatch.setattr("pe_audio_cli.models.inventory.SHIPPED", tmp_path)
        assert ("mini", "tag") not in listed()
        (tmp_path / "mini").mkdir()
        (tmp_path / "mini" / "model.safetensors").write_bytes(bytes(1_234_567))
        mini = listed()["mini", "tag"]
        assert mini["for"] == ["tag", "localize"]
        assert (mini["folder"], mini["bytes"]) == (str(tmp_path / "mini"), 1_234_567)
        assert " 1.2 MB " in row("mini", "localize")

    def test_what_was_fetched_has_a_size_a_revision_and_a_folder(self, hub):
        folder = peaudio("models", "pull", "base", "--for", "tag").stdout.strip()
        base = listed()["base", "tag"]
        assert base == {
            "schema": "peaudio.model/1",
            "name": "base",
            "for": ["tag"],
            "hub_id": TAG,
            "revision": "main",
            "bytes": sum(map(len, hub.repos[TAG].values())),
            "folder": folder,
        }
        assert listed()["base", "localize"]["folder"] is None
        assert row("base", "tag").split() == ["base", "tag", TAG, "main", "2.6", "MB", folder]

    def test_a_pinned_revision_is_a_row_of_its_own(self, hub):
        peaudio("models", "pull", "base", "--for", "tag")
        pinned, hub.commit = hub.commit, "a" * 40
        hub.repos[TAG]["extra.json"] = b"{}"
        peaudio("models", "pull", "base", "--for", "tag")
        rows = [item for item in json.loads(peaudio("models", "-f", "json").stdout) if item["hub_id"] == TAG]
        assert [item["revision"] for item in rows] == ["main", pinned]
        assert [Path(item["folder"]).name for item in rows] == ["a" * 40, pinned]

    def test_what_is_unfinished_says_how_to_go_on(self, hub):
        hub.damaged = True
        peaudio("models", "pull", "base", "--for", "tag")
        base = listed()["base", "tag"]
        assert base["folder"] is None
        assert 0 < base["bytes"] < 100_000
        assert row("base", "tag").endswith("unfinished: peaudio models pull base --for tag")

    def test_another_checkpoint_of_pe_audio_is_listed_by_its_hub_id_and_other_models_are_not(self, hub):
        from huggingface_hub import hf_hub_download

        hub.add("me/birds", REFERENCE / "pe-av-tiny")
        hub.add("me/words", REFERENCE / "pe-av-tiny")
        hub.repos["me/words"]["config.json"] = b'{"model_type": "bert"}'
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            hf_hub_download("me/words", name)
        peaudio("models", "pull", "me/birds")
        assert {name for name, _ in listed()} - {"mini"} == {"small", "base", "large", "me/birds"}


class TestPull:
    def test_a_size_is_two_checkpoints_and_their_folders_are_printed(self, hub):
        ran = peaudio("models", "pull", "base")
        assert ran.exit_code == 0
        assert [Path(line) for line in ran.stdout.splitlines()] == [cached(TAG), cached(LOCALIZE)]
        assert f"peaudio: {TAG} is here now" in ran.stderr
        assert f"peaudio: {LOCALIZE} is here now" in ran.stderr

    def test_only_the_one_for_a_command(self, hub):
        ran = peaudio("models", "pull", "base", "--for", "localize", "--quiet")
        assert ran.stdout == f"{cached(LOCALIZE)}\n"
        assert ran.stderr == ""
        assert cached(TAG) is None

    def test_again_says_that_it_is_here(self, hub):
        peaudio("models", "pull", TAG)
        hub.asked.clear()
        assert f"peaudio: {TAG} was here already\n" in peaudio("models", "pull", TAG).stderr
        assert not hub.asked
        offline = peaudio("models", "pull", TAG, "--offline")
        assert offline.exit_code == 0
        assert f"{TAG} was here already; the hub was not asked for a newer one" in offline.stderr

    def test_what_it_says_about_a_machine_without_a_network_is_true(self, hub, tmp_path):
        said = peaudio("models", "pull", "base", "--for", "tag").stderr
        command = said.partition("without a network: ")[2].partition(", take")[0]
        (tmp_path / "there").mkdir()
        subprocess.run(shlex.split(command), cwd=tmp_path / "there", check=True)
        hub.repos.clear()
        cached(TAG).rename(tmp_path / "gone")
        model = tmp_path / "there" / "pe-av-base"
        assert not any(file.is_symlink() for file in model.iterdir())
        tone = write_tone(tmp_path / "tone.wav")
        assert "-m ./pe-av-base" in said
        assert peaudio("tag", tone, "-l", "rain", "-m", model, "--offline").exit_code == 0

    def test_the_name_works_from_then_on_without_a_network(self, hub, tmp_path):
        peaudio("models", "pull", "base", "--for", "tag")
        hub.failing = True
        tone = write_tone(tmp_path / "tone.wav")
        assert peaudio("tag", tone, "-l", "rain", "-m", "base", "--offline").exit_code == 0

    def test_mini_ships_with_the_tool(self, hub, tmp_path, monkeypatch):
        monkeypatch.setattr(registry, "SHIPPED", tmp_path)
        (tmp_path / "mini").mkdir()
        ran = peaudio("models", "pull", "mini")
        assert (ran.exit_code, ran.stdout) == (0, f"{tmp_path / 'mini'}\n")
        assert ran.stderr == "peaudio: mini is part of peaudio: nothing to download\n"

    def test_a_folder_needs_no_fetching(self, hub):
        ran = peaudio("models", "pull", REFERENCE / "pe-av-tiny")
        assert (ran.exit_code, ran.stdout) == (0, f"{REFERENCE / 'pe-av-tiny'}\n")
        assert "is a folder on this machine: nothing to download" in ran.stderr

    @pytest.mark.parametrize(
        ("arguments", "code", "says"),
        [
            (["bse"], 2, "unknown model 'bse' (did you mean base?)"),
            (["small", "--for", "tag"], 2, "there is no model facebook/pe-av-small on the hub, or it needs a token"),
            (["me/closed"], 2, "me/closed is gated: accept its terms on its page, and set HF_TOKEN"),
            (["base", "--revision", "v9"], 2, f"{TAG} has no revision v9: check --revision"),
            (["base", "--offline"], 2, f"{TAG} is not on this machine and the network is switched off: on a machine"),
            (["mini", "--revision", "v9"], 2, "--revision pins a hub checkpoint, and mini is a local one"),
            (["me/huge"], 1, "me/huge needs 1000000.0 GB more, and only "),
        ],
    )
    def test_a_refusal_is_one_line_and_an_exit_code(self, hub, monkeypatch, tmp_path, arguments, code, says):
        hub.add("me/closed", REFERENCE / "pe-av-tiny")
        hub.gated.add("me/closed")
        hub.add("me/huge", REFERENCE / "pe-av-tiny")
        if arguments == ["me/huge"]:
            hub.sizes["model.safetensors"] = 10**15
        monkeypatch.setattr(registry, "SHIPPED", tmp_path)
        (tmp_path / "mini").mkdir()
        ran = peaudio("models", "pull", *arguments)
        assert (ran.exit_code, ran.stdout) == (code, "")
        (line,) = ran.stderr.splitlines()
        assert line.startswith(f"peaudio: {says}")

    def test_the_first_of_two_is_kept_if_the_second_fails(self, hub):
        del hub.repos[LOCALIZE]
        ran = peaudio("models", "pull", "base")
        assert ran.exit_code == 2
        assert ran.stdout == f"{cached(TAG)}\n"


def test_a_command_fetches_what_it_needs_itself(hub, tmp_path):
    tone = write_tone(tmp_path / "tone.wav")
    ran = peaudio("tag", tone, "-l", "rain", "-m", "base")
    assert ran.exit_code == 0
    assert ran.stderr == ""
    assert cached(TAG) is not None
    assert cached(LOCALIZE) is None


@pytest.fixture
def environment(hub, tmp_path) -> dict[str, str]:
    """Return the environment that points another process to the hub and to a cache."""
    return {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}


def start(environment: dict[str, str], *arguments: str, **more) -> subprocess.Popen:
    return subprocess.Popen(
        [*PEAUDIO, "models", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        # A shell that runs the suite in the background has it ignore Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **{"stderr": subprocess.PIPE, **more},
    )


def test_the_environment_names_the_hub_and_the_cache_and_a_pipe_hears_no_progress(hub, environment, tmp_path):
    with start(environment, "pull", "base", "--for", "tag") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert Path(out.strip()).is_relative_to(tmp_path / "home" / "hub")
    said = err.splitlines()
    assert said[0] == f"peaudio: {TAG} is here now"
    assert said[1].startswith("peaudio: for a machine without a network: cp -rL ")
    assert len(said) == 2


def test_ctrl_c_keeps_what_has_come(hub: StubHub, environment, tmp_path):
    hub.add(TAG, REFERENCE / "pe-av-tiny", **{"model.safetensors": os.urandom(30_000_000)})
    hub.breaks_after, hub.stalls = 25_000_000, True
    with start(environment, "pull", "base", "--for", "tag") as process:
        deadline = time.monotonic() + 60
        while not sum(file.stat().st_size for file in (tmp_path / "home").rglob("*.incomplete")) > 10_000_000:
            assert time.monotonic() < deadline, "nothing came"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == [
        f"peaudio: the partial download of {TAG} is kept: the same command resumes it",
        "peaudio: interrupted",
    ]
    assert cached(TAG) is None
    hub.breaks_after = None
    hub.asked.clear()
    assert peaudio("models", "pull", "base", "--for", "tag").exit_code == 0
    ((name, byte),) = hub.asked
    assert name == "model.safetensors"
    assert byte > 10_000_000


def test_a_terminal_sees_how_far_it_is(hub, environment):
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    ours, theirs = pty.openpty()
    with start({**environment, "TERM": "xterm", "COLUMNS": "100"}, "pull", "base", stderr=theirs) as process:
        os.close(theirs)
        assert process.wait(timeout=60) == 0
    seen = b""
    try:
        while piece := os.read(ours, 1 << 16):
            seen += piece
    except OSError:
        pass  # how Linux says that the other side has gone
    os.close(ours)
    assert b"MB" in seen
    assert TAG.encode() in seen and LOCALIZE.encode() in seen
