"""Work in lanes: in order within each, side by side otherwise, and nobody who puts something there waits."""

from __future__ import annotations

import threading
import time

from live.actions.heard import eventually, warnings

from pe_audio_cli.live.actions.base import Failures
from pe_audio_cli.live.actions.lanes import Lanes


def test_a_lane_keeps_its_order_and_does_one_thing_at_a_time() -> None:
    done: dict[str, list[int]] = {lane: [] for lane in "abcde"}
    at_work: set[str] = set()

    def work(item: tuple[str, int]) -> None:
        lane, number = item
        assert lane not in at_work
        at_work.add(lane)
        time.sleep(0.0005)
        at_work.remove(lane)
        done[lane].append(number)

    lanes = Lanes("test", work, Failures("--test"), most_waiting=1_000, n_threads=3)
    with warnings() as told:
        for number in range(50):
            for lane in done:
                lanes.put((lane, number), lane)
        assert lanes.close(60) == 0
    assert done == {lane: list(range(50)) for lane in "abcde"}
    assert told == []


def test_lanes_go_side_by_side_up_to_the_number_of_threads() -> None:
    go, n_at_work = threading.Event(), []

    def work(item: str) -> None:
        n_at_work.append(item)
        go.wait()

    lanes = Lanes("test", work, Failures("--test"), most_waiting=9, n_threads=3)
    for lane in "abcde":
        lanes.put(lane, lane)
    assert eventually(lambda: len(n_at_work) == 3)
    time.sleep(0.05)
    assert len(n_at_work) == 3
    go.set()
    assert lanes.close(60) == 0
    assert sorted(n_at_work) == list("abcde")


def test_of_too_many_the_latest_are_kept_and_one_warning_tells() -> None:
    go, done = threading.Event(), []

    def work(item: int) -> None:
        go.wait()
        done.append(item)

    lanes = Lanes("test", work, Failures("--test"), most_waiting=10)
    lanes.put(0)
    assert eventually(lambda: not lanes._ready)  # it has begun
    with warnings() as told:
        for number in range(1, 5_001):
            lanes.put(number)
    go.set()
    assert lanes.close(60) == 0
    assert done == [0, *range(4_991, 5_001)]
    assert len(told) == 1
    assert "10 events wait for it" in told[0]


def test_what_hangs_is_given_up_in_time_and_what_waits_behind_it_never_begins() -> None:
    go, begun = threading.Event(), []

    def work(item: int) -> None:
        begun.append(item)
        go.wait()

    lanes = Lanes("test", work, Failures("--test"), most_waiting=10)
    for number in range(4):
        lanes.put(number)
    assert eventually(lambda: begun)
    before = time.monotonic()
    assert lanes.close(0.2) == 3
    assert 0.2 <= time.monotonic() - before < 5
    go.set()
    lanes.put(9)
    assert eventually(lambda: not lanes._lanes)
    assert begun == [0]


def test_whatever_the_work_raises_is_one_warning_and_the_next_item_is_done() -> None:
    done = []

    def work(item: int) -> None:
        if item < 3:
            raise ZeroDivisionError("odd\nmessage")
        done.append(item)

    lanes = Lanes("test", work, Failures("--test"), most_waiting=10)
    with warnings() as told:
        for number in range(5):
            lanes.put(number)
        assert lanes.close(60) == 0
    assert done == [3, 4]
    assert len(told) == 1
    assert told[0].startswith("--test: ZeroDivisionError: odd message")
