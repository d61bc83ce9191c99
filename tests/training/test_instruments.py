from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import instruments
from training.concepts import KNOWN

PRESETS = [*instruments.INSTRUMENTS, *instruments.KITS, *instruments.EFFECTS, *instruments.GS_EFFECTS]


@settings(max_examples=100)
@given(preset=st.sampled_from(PRESETS), seed=st.integers(0, 1000))
def test_a_phrase_can_be_played_in_its_slot(preset: instruments.Preset, seed: int) -> None:
    notes = instruments.phrase(preset, np.random.default_rng(seed))
    assert notes
    for note in notes:
        assert 0 <= note.onset < note.offset <= instruments.SLOT_SECONDS
        assert 0 <= note.key <= 127
        assert 1 <= note.velocity <= 127
    assert notes == instruments.phrase(preset, np.random.default_rng(seed))


def test_a_score_reads_as_the_midi_standard_says() -> None:
    piano, kit = instruments.Preset("piano", 0, 5), instruments.Preset("drums", instruments.PERCUSSION, 8, drums=True)
    note = instruments.Note(0.0, 1.0, 60, 100)
    score = instruments.midi([(piano, [note]), (kit, [])])
    assert score[:14] == b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0"
    assert int.from_bytes(score[18:22], "big") == len(score) - 22
    bank_and_program = b"\0\xb0\0\0\0\xc0\x05"
    struck_then_released = b"\0\x90\x3c\x64\x87\x40\x80\x3c\0"  # 960 ticks between them
    assert score[22:].startswith(bank_and_program + struck_then_released)
    assert b"\xc9\x08" in score, "a kit is chosen on the drum channel"
    assert score.endswith(b"\xff\x2f\0")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_taught_as_something(preset: instruments.Preset) -> None:
    known = {concept.id for concept in KNOWN}
    assert preset.concepts
    assert set(preset.concepts.split(";")) <= known
