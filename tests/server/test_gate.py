"""The queue before the encoder: turns, batches, and calls that nobody wants any more."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support import LevelEncoder

from pe_audio_cli.errors import RunError
from pe_audio_cli.server.gate import Gate, GatedEncoder
from pe_audio_cli.server.refusals import Refusal
from pe_audio_cli.server.tickets import GivenUp, Ticket

GONE = Refusal("internal", "gone")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.001)


class Occupied:
    """A gate with a call at work until the end of the block."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._over, self._begun = gate, threading.Event(), threading.Event()

    def __enter__(self) -> None:
        def hold() -> None:
            self._begun.set()
            self._over.wait()

        self._thread = threading.Thread(target=self._gate.run, args=(Ticket("holder", 60), hold))
        self._thread.start()
        self._begun.wait()

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()


def test_clients_take_turns() -> None:
    gate, order = Gate(1), []
    with ThreadPoolExecutor(8) as pool, Occupied(gate):
        for place, client in enumerate("aaaabbc"):
            pool.submit(gate.run, Ticket(client, 60), lambda client=client: order.append(client))
            until(lambda place=place: gate.n_waiting == place + 1)
    assert "".join(order) == "abcabaa"


def test_as_many_calls_at_once_as_the_encoder_works_on() -> None:
    gate, within, most = Gate(2), [], []

    def work() -> None:
        within.append(1)
        most.append(len(within))
        time.sleep(0.01)
        within.pop()

    with ThreadPoolExecutor(6) as pool:
        for client in "abcdef":
            pool.submit(gate.run, Ticket(client, 60), work)
    assert max(most) == 2 and len(most) == 6


def windows(level: float, n: int = 1, n_frames: int = 5) -> np.ndarray:
    return np.full((n, n_frames, 1), level, np.float32)


def test_windows_of_one_length_share_a_batch() -> None:
    encoder, gate = LevelEncoder(), Gate(1, batch_size=3)
    asked = [windows(1), windows(2), windows(3, n_frames=7), windows(4), windows(5)]
    with ThreadPoolExecutor(8) as pool:
        with Occupied(gate):
            calls = []
            for place, features in enumerate(asked):
                own = GatedEncoder(encoder, gate, Ticket(f"client {place}", 60))
                calls.append(pool.submit(own.encode_windows, features))
                until(lambda place=place: gate.n_waiting == place + 1)
        answers = [call.result() for call in calls]
    assert sorted(encoder.batches) == [(1, 5), (1, 7), (3, 5)]
    for features, answer in zip(asked, answers, strict=True):
        alone = LevelEncoder().encode_windows(features)
        assert np.array_equal(answer.clips, alone.clips) and np.array_equal(answer.frames, alone.frames)


def test_a_window_that_cannot_be_encoded_spoils_no_other() -> None:
    encoder, gate = LevelEncoder(too_loud=3), Gate(1, batch_size=4)
    with ThreadPoolExecutor(4) as pool:
        with Occupied(gate):
            calls = []
            for place, level in enumerate((1, 9, 2)):
                own = GatedEncoder(encoder, gate, Ticket(f"client {place}", 60))
                calls.append(pool.submit(own.encode_windows, windows(level)))
                until(lambda place=place: gate.n_waiting == place + 1)
        assert calls[0].result().clips[0, 0] == 1 and calls[2].result().clips[0, 0] == 2
        with pytest.raises(RunError):
            calls[1].result()
    assert gate.run(Ticket("next", 60), lambda: "works") == "works"


def test_a_call_that_nobody_wants_leaves_the_queue() -> None:
    gate, ran = Gate(1), []
    with ThreadPoolExecutor(2) as pool:
        with Occupied(gate):
            ticket = Ticket("a", 60)
            call = pool.submit(gate.run, ticket, lambda: ran.append(1))
            until(lambda: gate.n_waiting == 1)
            ticket.give_up(GONE)
            with pytest.raises(GivenUp):
                call.result(30)
            assert gate.n_waiting == 0
        late = Ticket("b", 0.0)
        time.sleep(0.001)
        with pytest.raises(GivenUp):
            gate.run(late, lambda: ran.append(1))
        assert late.reason is not None and late.reason.error.kind == "timeout"
    assert ran == []


def test_no_place_is_lost_whoever_gives_up_when() -> None:
    """Many calls, alone and in batches, some given up at random moments: then all places are free again."""
    chance = random.Random(7)
    encoder, gate = LevelEncoder(too_loud=8), Gate(2, batch_size=4)

    def one(number: int) -> None:
        ticket = Ticket(f"client {number % 7}", 60)
        own = GatedEncoder(encoder, gate, ticket)
        if number % 3 == 0:
            threading.Timer(chance.random() / 50, ticket.give_up, [GONE]).start()
        try:
            time.sleep(chance.random() / 200)
            own.encode_codec(np.zeros((3, 1920), np.float32))
            level = number % 10
            assert own.encode_windows(windows(level)).clips[0, 0] == level
        except (GivenUp, RunError):
            pass

    with ThreadPoolExecutor(24) as pool:
        for call in [pool.submit(one, number) for number in range(400)]:
            call.result(60)
    assert gate.n_waiting == 0
    together = threading.Barrier(2)  # both places are free
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(gate.run, Ticket(name, 60), lambda: together.wait(30)) for name in "ab"]
        assert {call.result(30) for call in calls} == {0, 1}
