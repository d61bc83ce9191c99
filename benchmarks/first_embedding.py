"""A program: loads a checkpoint and embeds two seconds of audio, for its time from exec to exit.

``python -m benchmarks.first_embedding transformers|mallopt|ours FOLDER``
"""

from __future__ import annotations

import sys
from pathlib import Path

from pe_audio_cli.models.kernels.malloc import configure_malloc

SECONDS = 2.0


def main(whose: str, folder: str) -> None:
    """Run as a program; prints how many numbers the embedding has."""
    if whose != "transformers":
        configure_malloc()  # before anything imports torch
    from benchmarks.models import our_encoder, transformers_encoder
    from benchmarks.sound import noise

    build = our_encoder if whose == "ours" else transformers_encoder
    clip, _ = build(Path(folder))(noise(SECONDS))
    print(clip.size)


if __name__ == "__main__":
    main(*sys.argv[1:])
