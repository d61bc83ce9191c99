"""``peaudio`` on an encoder that needs no model, for tests of what only a process of its own shows.

It starts without torch, and takes FAKE_SECONDS for each window and FAKE_CODEC_SECONDS for each call of the codec, which
the file FAKE_LOG gets a line for. A window of more than FAKE_FRAMES never ends, in a call
that no signal interrupts.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import types

from support import REFERENCE, LevelEncoder

from pe_audio_cli.cli.app import main


class SlowEncoder(LevelEncoder):
    """A :class:`LevelEncoder` that takes its time."""

    def encode_codec(self, frames):
        if "FAKE_LOG" in os.environ:
            with open(os.environ["FAKE_LOG"], "a", encoding="utf-8") as log:
                log.write(f"{len(frames)}\n")
        time.sleep(float(os.environ.get("FAKE_CODEC_SECONDS", "0")))
        return super().encode_codec(frames)

    def encode_windows(self, features):
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0")) * len(features))
        if features.shape[1] > int(os.environ.get("FAKE_FRAMES", "1000000")):
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        self.batches.clear()  # or it would grow as long as it is listened
        return super().encode_windows(features)


stand_in = types.ModuleType("pe_audio_cli.models.backends.torch_encoder")
stand_in.PeEncoder = lambda *options: SlowEncoder()
os.environ["PEAUDIO_MODEL"] = str(REFERENCE / "pe-a-frame-tiny")  # a checkpoint must be there, though it isn't used
sys.modules[stand_in.__name__] = stand_in

if __name__ == "__main__":
    main()
