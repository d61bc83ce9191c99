"""Rows in any order come out in theirs, each once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.cluster.reorder_buffer import ReorderBuffer, SegmentRow

COUNTS = st.lists(st.integers(1, 4), max_size=8)  # rows of each input


def rows_of(counts: list[int]) -> list[SegmentRow]:
    return [
        SegmentRow(index, place, place == count - 1, f"{index}.{place}".encode() * (index + 1))
        for index, count in enumerate(counts)
        for place in range(count)
    ]


@given(counts=COUNTS, data=st.data())
def test_each_row_comes_out_once_in_order_as_soon_as_it_can(counts, data):
    rows = rows_of(counts)
    arriving = data.draw(st.permutations(rows + data.draw(st.lists(st.sampled_from(rows)) if rows else st.just([]))))
    held, out, seen = ReorderBuffer(), [], set()
    for row in arriving:
        held.put(row)
        seen.add((row.index, row.place))
        out += held.take()
        ready = next((n for n, each in enumerate(rows) if (each.index, each.place) not in seen), len(rows))
        assert out == rows[:ready]
    assert out == rows


@given(counts=COUNTS, data=st.data())
def test_missing_are_the_inputs_of_which_a_row_has_yet_to_come(counts, data):
    rows = rows_of(counts)
    arrived = [row for row in rows if data.draw(st.booleans())]
    held = ReorderBuffer()
    for row in arrived:
        held.put(row)
        if data.draw(st.booleans()):
            list(held.take())
    lacking = {row.index for row in rows if row not in arrived}
    assert held.missing(len(counts)) == sorted(lacking)


def test_what_waits_for_long_does_not_wait_in_memory():
    import tracemalloc

    held = ReorderBuffer()
    content = bytes(1 << 20)
    tracemalloc.start()
    for index in range(1, 200):
        held.put(SegmentRow(index, 0, True, content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150 << 20
    held.put(SegmentRow(0, 0, True, b""))
    assert sum(len(row.content) for row in held.take()) == 199 << 20
