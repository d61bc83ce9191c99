"""Hours of sound through a pipe, faster than it goes: memory that does not grow, and times that do not drift.

``PEAUDIO_LISTEN_HOURS=24`` tries a day.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

FAKE = Path(__file__).parents[1] / "fake_peaudio.py"
RATE = 8_000  # Hz, of the pipe: less to write, and the resampler is a part of it
HOURS = int(os.environ.get("PEAUDIO_LISTEN_HOURS", "4"))
FIRST, LAST = 1, HOURS - 1  # the hours after which the memory is looked at
GROWTH = 4.0  # MB that the memory may grow by: a byte for each frame of a day would be 2, a sample's 4,000
DRIFT = 0.04  # seconds


def memory(process: int) -> float:
    """Megabytes that a process takes now."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1e3


def an_hour() -> bytes:
    """Silence but for a second of sound, which begins in its middle."""
    samples = np.zeros(3_600 * RATE, "<i2")
    samples[1_800 * RATE : 1_801 * RATE] = np.tile([3_000, 3_000, -3_000, -3_000], RATE // 4)  # a quarter of RATE
    return samples.tobytes()


@pytest.mark.timeout(1_200)
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc here that tells the memory")
def test_hours_take_no_more_memory_than_one_and_times_do_not_drift() -> None:
    command = [sys.executable, str(FAKE), "listen", "-", "--raw", f"s16le,{RATE},1", "-l", "loud", "--hop", "2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}) as run:
        assert run.stdin is not None and run.stdout is not None
        begun: list[float] = []
        sizes: dict[int, float] = {}

        def follow() -> None:
            for line in run.stdout:  # type: ignore[union-attr]
                each = json.loads(line)
                if each.get("event") == "start":
                    begun.append(each["onset"])
                    sizes[len(begun)] = memory(run.pid)

        reader = threading.Thread(target=follow, daemon=True)
        reader.start()
        hour = an_hour()
        for _ in range(HOURS):
            run.stdin.write(hour)
        run.stdin.close()
        reader.join(timeout=600)
        assert run.wait(timeout=60) == 0
    late = [start - (3_600 * number + 1_800) for number, start in enumerate(begun)]
    assert len(late) == HOURS and max(map(abs, late)) < DRIFT, late
    assert sizes[LAST] - sizes[FIRST] < GROWTH, sizes
    print(f"MB by hour: {sizes}; late: {late[0]:.3f} s at first, {late[-1]:.3f} s at last")
