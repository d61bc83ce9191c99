"""The container: what its build copies, and, where there is an engine, that it runs offline and without rights."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
RECORDINGS = ROOT / "examples" / "recordings"
IMAGE = "peaudio-test"


def has_engine() -> bool:
    return (
        shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    )


def copied() -> list[str]:
    """Return the files that the Dockerfile copies from the repository."""
    return [
        name
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
        for name in sources.split()
    ]


def test_what_is_copied_exists_and_is_let_through() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert "*" in rules
    assert set(copied()) == let_through
    assert [name for name in copied() if not (ROOT / name).exists()] == []


def test_what_the_build_reads_is_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    read = {*re.findall(r'^(?:readme) = "(.+)"$', project, flags=re.MULTILINE), "LICENSE", "pyproject.toml"}
    assert read | {"pe_audio_cli"} <= set(copied())


def test_it_ends_as_a_user_without_rights() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    assert users and users[-1] not in {"root", "0"}
    assert DOCKERFILE.rindex("USER") > DOCKERFILE.rindex("RUN")


@pytest.fixture(scope="module")
def image() -> str:
    if not has_engine():
        pytest.skip("NO CONTAINER ENGINE: the Dockerfile is neither built nor run here")
    subprocess.run(["docker", "build", "--quiet", "--tag", IMAGE, ROOT], check=True, timeout=1500)
    return IMAGE


def run(image: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    sealed = ("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
    mount = ("--volume", f"{RECORDINGS}:/data:ro")
    command = ["docker", "run", *sealed, *mount, *options, image, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(1800)
def test_it_tags_without_a_network_or_rights(image: str) -> None:
    lines = [json.loads(line) for line in run(image, "tag", ".", "--top-k", "1").splitlines()]
    assert {os.path.basename(line["file"]) for line in lines} == {path.name for path in RECORDINGS.iterdir()}
    assert all(len(line["tags"]) == 1 for line in lines)


@pytest.mark.timeout(1800)
def test_nothing_runs_as_root(image: str) -> None:
    assert int(run(image, "-c", "import os; print(os.getuid())", options=("--entrypoint", "python"))) != 0
