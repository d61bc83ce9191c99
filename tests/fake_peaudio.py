"""``peaudio`` on an encoder that needs no model, for tests of what only a process of its own shows.

It starts without torch, and takes FAKE_SECONDS for each window.
"""

from __future__ import annotations

import os
import sys
import time
import types

from support import REFERENCE, LevelEncoder

from pe_audio_cli.cli.app import main


class SlowEncoder(LevelEncoder):
    """A :class:`LevelEncoder` that takes its time."""

    def encode_windows(self, features):
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0")) * len(features))
        return super().encode_windows(features)


stand_in = types.ModuleType("pe_audio_cli.model.encoder")
stand_in.DeviceOptions = lambda *options: options
stand_in.PeEncoder = lambda *options: SlowEncoder()
os.environ["PEAUDIO_MODEL"] = str(REFERENCE / "pe-a-frame-tiny")  # a checkpoint must be there, though it isn't used
sys.modules[stand_in.__name__] = stand_in

if __name__ == "__main__":
    main()
