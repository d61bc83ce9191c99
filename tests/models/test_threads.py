"""Threads that wait must not hold the cores that others want; what the user has set stands."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
# What the variables are when torch is about to be imported, by whichever module of ours imports it first.
SHOW = f"""
import os, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == "torch":
            print([os.environ.get(name) for name in {NAMES}])
            sys.exit()
sys.meta_path.insert(0, Finder())
"""


def seen(first: str, **environment: str) -> list[str | None]:
    bare = {name: value for name, value in os.environ.items() if name not in NAMES}
    ran = subprocess.run(
        [sys.executable, "-c", f"{SHOW}\n{first}"],
        capture_output=True,
        text=True,
        env={**bare, **environment},
        check=True,
    )
    found: list[str | None] = eval(ran.stdout)
    return found


@pytest.mark.parametrize(
    "first",
    [
        "import pe_audio_cli.models.backends.torch_encoder",
        "import pe_audio_cli.cluster.ray_pipeline; import pe_audio_cli.models.backends.torch_encoder",
    ],
)
def test_waiting_threads_sleep_before_torch_is_there(first: str) -> None:
    assert seen(first) == ["PASSIVE", "0", None, None]


@pytest.mark.parametrize("theirs", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "7"}, {"KMP_BLOCKTIME": "200"}])
def test_what_the_user_has_set_stands(theirs: dict[str, str]) -> None:
    assert seen("import pe_audio_cli.models.backends.torch_encoder", **theirs) == [theirs.get(name) for name in NAMES]
