"""Numbers for the self-test of engines, beside a checkpoint's weights: ``python -m training.self_test FOLDER``.

``self_test.json`` holds the probabilities that transformers gives to the checkpoint's own labels in a made sound.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.self_test import EXPECTED, answers

__all__ = ["write_self_test"]

N_LABELS = 8
DIGITS = 7
WITHOUT_LABELS = ("a beep", "noise")  # for a checkpoint that suggests none


def write_self_test(folder: Path) -> None:
    """Write the numbers of a checkpoint in a folder, for the labels whose probability changes most in the sound."""
    checkpoint = Checkpoint.open(folder, str(folder))
    labels = checkpoint.default_labels or WITHOUT_LABELS
    _, found = answers(checkpoint, "transformers", labels)
    chosen = sorted(found.std(axis=0).argsort()[-N_LABELS:])
    content = {
        "fingerprint": checkpoint.fingerprint,
        "labels": [labels[index] for index in chosen],
        "probabilities": found[:, chosen].round(DIGITS).tolist(),
    }
    (folder / EXPECTED).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the numbers of the checkpoint in a folder."""
    parser = argparse.ArgumentParser(prog="python -m training.self_test", description=__doc__)
    parser.add_argument("folder", type=Path, help="the checkpoint's")
    write_self_test(parser.parse_args(arguments).folder)


if __name__ == "__main__":
    main()
