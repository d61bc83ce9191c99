"""Listening to sources: what is heard, lost, late and silent, with an encoder that hears loudness."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import LevelEncoder

from pe_audio_cli.audio.framing import HOP, WindowOptions
from pe_audio_cli.errors import InputError, RunError
from pe_audio_cli.inference.runner import localize
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.live import inbox as inboxes
from pe_audio_cli.live.event import LiveEvent
from pe_audio_cli.live.inbox import Inbox, Lost, Sound
from pe_audio_cli.live.listener import Listener, Record, Scene
from pe_audio_cli.live.session import Session
from pe_audio_cli.live.sources.files import FileSource
from pe_audio_cli.live.status import LiveStatus
from pe_audio_cli.options import EventOptions, LiveOptions, PerLabel
from pe_audio_cli.results import LocalizeResult

LABELS = ("loud", "deafening")
OPTIONS = LiveOptions(window=4.0)
RULES = EventOptions(0.5)


def scene(options: LiveOptions = OPTIONS, rules: EventOptions = RULES, encoder: LevelEncoder | None = None) -> Scene:
    encoder = LevelEncoder() if encoder is None else encoder
    return Scene(encoder, Query.ask(encoder, LABELS), PerLabel(rules), options)


def tone(seconds: float, level: float) -> np.ndarray:
    """A square wave: each frame of it is as loud as any other."""
    samples = np.full(round(seconds * 48_000), level, np.float32)
    samples[::2] *= -1
    return samples


class FakeTime:
    """The clock of a listener, which tests set."""

    seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def iso(self, seconds: float) -> str:
        return f"{seconds:.3f}"


class Recorded:
    """A live source of which each connection gives some blocks, and then ends, or fails."""

    name, is_live = "recorded", True

    def __init__(self, *connections: list[np.ndarray] | Exception, is_live: bool = True) -> None:
        self.is_live = is_live
        self._connections = iter(connections)
        self.closed = threading.Event()

    def blocks(self) -> Iterator[np.ndarray]:
        connection = next(self._connections, None)
        if connection is None:
            self.closed.wait(60)
            return
        if isinstance(connection, Exception):
            raise connection
        yield from connection

    def close(self) -> None:
        self.closed.set()


def events(records: list[Record]) -> list[tuple[str, float, float | None]]:
    found = [record for record in records if isinstance(record, LiveEvent)]
    return [(e.label, round(e.onset, 3), None if e.offset is None else round(e.offset, 3)) for e in found]


def statuses(records: list[Record]) -> list[str]:
    return [record.status for record in records if isinstance(record, LiveStatus)]


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.05, 0.1, 0.3]), st.integers(1, 40)), max_size=12),
    st.integers(0, HOP - 1),
    st.none() | st.sampled_from([0.2, 1.0]),
)
def test_a_file_has_the_events_of_localize(parts: list[tuple[float, int]], more: int, gap: float | None) -> None:
    """Where the model says of a frame the same in all windows, they are the same to the frame."""
    rules = EventOptions(0.5, 0.3, merge_gap=gap)
    pieces = [tone(n_frames / 25, level) for level, n_frames in parts]
    samples = np.concatenate([*pieces, tone(0.04, 0.1)[: more + 1]])
    import io

    import soundfile

    from pe_audio_cli.audio.inputs import DataInput

    content = io.BytesIO()
    soundfile.write(content, samples, 48_000, "FLOAT", format="WAV")
    file = DataInput("x", content.getvalue())
    listened = scene(rules=rules)
    heard = list(Session(FileSource(file), listened).records(lambda: False))
    encoding = EncodeOptions(WindowOptions(4.0, 1.0))
    (expected,) = localize([file], listened.encoder, listened.query, rules, encoding)
    assert isinstance(expected, LocalizeResult)
    complete = sorted((e.onset, e.label, e.offset) for e in heard if isinstance(e, LiveEvent) and e.offset is not None)
    assert complete == [
        (pytest.approx(e.start), e.label, pytest.approx(e.end))
        for e in sorted(expected.events, key=lambda e: (e.start, e.label))
    ]
    starts = [e for e in heard if isinstance(e, LiveEvent) and e.offset is None]
    assert len(starts) == len(complete)


def test_a_start_is_told_before_the_end_and_soon() -> None:
    clock = FakeTime()
    listener = Listener(scene(LiveOptions(window=4.0, hop=0.2)), clock, is_live=True)  # type: ignore[arg-type]
    told: dict[str, float] = {}
    for block in np.split(np.concatenate([tone(2, 0.0), tone(1, 0.06), tone(3, 0.0)]), 60):
        clock.seconds += len(block) / 48_000
        for record in listener.hear(Sound(block, clock.seconds)):
            assert isinstance(record, LiveEvent)
            told["start" if record.offset is None else "end"] = clock.seconds
            assert (record.onset, record.offset or 3.0) == (pytest.approx(2.0), pytest.approx(3.0))
    assert 2.0 < told["start"] <= 2.04 + 0.2 + 0.1  # a frame, a hop, a block
    assert 3.0 < told["end"] <= 3.0 + 1.0 + 0.2 + 0.1  # it must settle


def test_what_is_lost_ends_the_events_and_times_go_on() -> None:
    clock = FakeTime()
    listener = Listener(scene(), clock, is_live=True)  # type: ignore[arg-type]
    clock.seconds = 2.0
    records = listener.hear(Sound(tone(2, 0.06), 2.0))
    records += listener.lose(Lost("unplugged"))
    assert events(records) == [("loud", 0.0, None), ("loud", 0.0, 2.0)] and statuses(records) == ["dropped"]
    clock.seconds = 12.0
    records = listener.hear(Sound(tone(2, 0.06), 12.0)) + listener.finish()
    assert events(records) == [("loud", 10.0, None), ("loud", 10.0, 12.0)]
    assert statuses(records) == ["reconnected"]
    assert next(r.seconds for r in records if isinstance(r, LiveStatus)) == pytest.approx(8.0)


def test_what_comes_at_once_was_recorded_before_it_came() -> None:
    """As from a server that sends the last seconds to whoever connects."""
    listener = Listener(scene(), FakeTime(), is_live=True)  # type: ignore[arg-type]
    records = []
    for second in range(4):
        records += listener.hear(Sound(tone(1, 0.0), 10.0 + second * 0.01))
    records += listener.hear(Sound(tone(1, 0.06), 11.1)) + listener.finish()
    assert events(records)[-1] == ("loud", pytest.approx(10.03), pytest.approx(11.03))


def test_a_pipe_that_stalls_ends_the_events() -> None:
    clock = FakeTime()
    listener = Listener(scene(), clock, is_live=False)  # type: ignore[arg-type]
    clock.seconds = 2.0
    listener.hear(Sound(tone(2, 0.06), 2.0))
    assert listener.wait() == []
    clock.seconds = 12.5
    records = listener.wait()
    assert events(records) == [("loud", 0.0, 2.0)] and statuses(records) == ["stalled"]
    assert listener.wait() == []  # it is told once
    clock.seconds = 20.0
    records = listener.hear(Sound(tone(1, 0.06), 20.0))
    assert statuses(records) == ["resumed"] and events(records) == [("loud", 19.0, None)]


def test_an_hour_of_silence_is_told_once_and_its_end_too() -> None:
    clock = FakeTime()
    listener = Listener(scene(LiveOptions(window=4.0, hop=2.0)), clock, is_live=True)  # type: ignore[arg-type]
    records: list[Record] = []
    for _ in range(1_800):
        clock.seconds += 2
        records += listener.hear(Sound(tone(2, 0.0), clock.seconds))
    records += listener.hear(Sound(tone(2, 0.01), clock.seconds + 2))
    found = [record for record in records if isinstance(record, LiveStatus)]
    assert [record.status for record in found] == ["silence", "sound"]
    assert found[0].at == pytest.approx(60.0) and found[1].seconds == pytest.approx(3600.0)


def test_a_sample_that_is_no_number_is_a_gap() -> None:
    listener = Listener(scene(), FakeTime(), is_live=False)  # type: ignore[arg-type]
    broken = tone(1, 0.06)
    broken[5] = np.nan
    records = listener.hear(Sound(tone(1, 0.06), 1.0)) + listener.hear(Sound(broken, 2.0))
    assert events(records) == [("loud", 0.0, None), ("loud", 0.0, 1.0)] and statuses(records) == ["dropped"]
    assert statuses(listener.hear(Sound(tone(1, 0.06), 3.0))) == ["reconnected"]


def test_it_says_when_it_is_behind_and_judges_fewer_windows_meanwhile() -> None:
    clock, encoder = FakeTime(), LevelEncoder()
    listener = Listener(scene(LiveOptions(window=4.0, hop=0.2), encoder=encoder), clock, is_live=True)  # type: ignore[arg-type]
    clock.seconds = 5.0
    assert statuses(listener.hear(Sound(tone(1, 0.0), 1.0))) == ["behind"]
    before = len(encoder.batches)
    assert statuses(listener.hear(Sound(tone(2, 0.0), 3.0))) == []
    assert len(encoder.batches) == before + 1  # not ten
    assert statuses(listener.hear(Sound(tone(2, 0.0), 5.0))) == ["caught-up"]
    listener.hear(Sound(tone(2, 0.0), 7.0))
    assert len(encoder.batches) == before + 2 + 10


def test_a_full_inbox_of_a_live_source_loses_the_oldest_and_says_so() -> None:
    inbox = Inbox(loses=True)
    for second in range(100):
        inbox.put(Sound(tone(1, 0.0), float(second)))
    items = []
    while (item := inbox.take(0)) is not None:
        items.append(item)
    assert isinstance(items[0], Lost) and items[0].seconds is not None
    heard = [item.arrived for item in items if isinstance(item, Sound)]
    assert sum(item.seconds or 0.0 for item in items) == 100
    assert heard[-1] == 99 and len(heard) <= inboxes.HELD_SECONDS + 1


def test_a_full_inbox_makes_a_file_wait() -> None:
    inbox = Inbox(loses=False)
    put = threading.Thread(target=lambda: [inbox.put(Sound(tone(1, 0.0), float(n))) for n in range(100)], daemon=True)
    put.start()
    time.sleep(0.2)
    assert put.is_alive()
    heard = [inbox.take(5.0) for _ in range(100)]
    assert [item.arrived for item in heard if isinstance(item, Sound)] == list(range(100))


def test_a_source_that_dies_is_connected_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "FIRST_PAUSE", 0.01)
    failure = InputError("recorded", "unreadable", "nobody is there")
    source = Recorded([tone(1, 0.06)], failure, failure, [tone(1, 0.06)])
    session = Session(source, scene())
    records: list[Record] = []
    for record in session.records(lambda: "reconnected" in statuses(records)):
        records.append(record)
    assert statuses(records) == ["listening", "dropped", "dropped", "dropped", "reconnected", "ended"]
    told = events(records)
    assert [offset is None for _, _, offset in told] == [True, False, True, False]


def test_a_source_that_never_was_there_is_an_error() -> None:
    source = Recorded(InputError("recorded", "unreadable", "nobody is there"))
    records = Session(source, scene()).records(lambda: False)
    assert statuses([next(records)]) == ["listening"]
    assert statuses([next(records)]) == ["ended"]
    with pytest.raises(InputError, match="nobody is there"):
        next(records)


def test_a_model_that_fails_ends_it_with_all_events_closed() -> None:
    source = Recorded([tone(2, 0.06), tone(2, 0.9)], is_live=False)
    records: list[Record] = []
    with pytest.raises(RunError, match="too loud"):
        for record in Session(source, scene(encoder=LevelEncoder(too_loud=50))).records(lambda: False):
            records.append(record)
    assert events(records) == [("loud", 0.0, None), ("loud", 0.0, 1.92)]  # as far as it was judged


def test_a_stop_closes_the_events_within_a_second() -> None:
    source = Recorded([tone(2, 0.06)], is_live=True)
    records: list[Record] = []
    stop = time.monotonic() + 1.0
    for record in Session(source, scene()).records(lambda: time.monotonic() > stop):
        records.append(record)
    assert time.monotonic() - stop < 1.0
    assert [offset is None for _, _, offset in events(records)] == [True, False]
    assert source.closed.is_set()


def test_actions_hear_all_sound_with_its_time() -> None:
    heard: list[tuple[int, float]] = []
    source = Recorded([tone(1.5, 0.06), tone(0.5, 0.06)], is_live=False)
    list(Session(source, scene(), lambda samples, at: heard.append((len(samples), at))).records(lambda: False))
    assert heard == [(72_000, 0.0), (24_000, 1.5)]


def test_a_file_at_its_own_pace_takes_its_time(tmp_path: Path) -> None:
    import soundfile

    file = tmp_path / "x.wav"
    soundfile.write(file, tone(1.5, 0.06), 48_000)
    begin = time.monotonic()
    n_samples = sum(map(len, FileSource(str(file), pace=True).blocks()))
    assert n_samples == 72_000 and 1.5 <= time.monotonic() - begin < 5
    assert os.path.exists(file)
