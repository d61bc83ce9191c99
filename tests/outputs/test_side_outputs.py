"""The list of a run's outputs: each gets each result or none does, and all begin and end together."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from drawings import svg_texts
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.errors import InputError, OutputError, RunError
from pe_audio_cli.outputs.base import Output
from pe_audio_cli.outputs.journal import JournalEntry, RunSettings
from pe_audio_cli.outputs.pictures import TagPicture
from pe_audio_cli.outputs.side_outputs import OutputList, SideOutput
from pe_audio_cli.results import FileError, Recording, Result, Tag, TagResult


class Taker(SideOutput):
    """Notes what it holds, and how it ended; ``fault`` is raised for a recording called ``bad``."""

    def __init__(self, fault: Exception | None = None, at_open: Exception | None = None) -> None:
        self.held: list[str] = []
        self.end = ""
        self._fault, self._at_open = fault, at_open

    def open(self, settings: RunSettings) -> None:
        self.end = "open"
        if self._at_open is not None:
            raise self._at_open

    def write(self, result: Result) -> None:
        if isinstance(result, FileError):
            self.held.append(f"error of {result.file}")
            return
        if result.recording.file == "bad" and self._fault is not None:
            raise self._fault
        self.held.append(result.recording.file)

    def take_back(self) -> None:
        self.held.pop()

    def finish(self) -> None:
        self.end = "finished"

    def abandon(self) -> None:
        self.end = "abandoned"


class Holder(Taker, Output):  # type: ignore[misc]
    """The output itself."""

    def open(self, settings: RunSettings) -> Mapping[int, JournalEntry]:  # type: ignore[override]
        super().open(settings)
        return {}


def tagged(file: str) -> TagResult:
    return TagResult(Recording(file, 0.2, 48_000, 1), "m", 1, (Tag("rain", 0.9), Tag("wind", 0.1)))


@given(at_fault=st.integers(0, 3), kind=st.sampled_from([InputError("bad", "output", "no"), ZeroDivisionError("no")]))
def test_a_result_that_one_of_them_refuses_stays_in_none(at_fault, kind):
    faults = [kind if place == at_fault else None for place in range(4)]
    *sides, output = [*map(Taker, faults[:3]), Holder(faults[3])]
    outputs = OutputList(output, sides)
    outputs.open({})
    outputs.write(tagged("good"))
    with pytest.raises(type(kind)):
        outputs.write(tagged("bad"))
    outputs.write(FileError("bad", "output", "no"))
    outputs.finish()
    assert [each.held for each in (*sides, output)] == [["good", "error of bad"]] * 4
    assert {each.end for each in (*sides, output)} == {"finished"}


@pytest.mark.parametrize("at_fault", [0, 1, 2])
def test_if_one_cannot_be_opened_none_is_left_open(at_fault):
    faults = [OutputError("no") if place == at_fault else None for place in range(3)]
    sides, output = [Taker(at_open=fault) for fault in faults[:2]], Holder(at_open=faults[2])
    with pytest.raises(OutputError):
        OutputList(output, sides).open({})
    assert "open" not in {each.end for each in sides}
    assert at_fault == 2 or output.end == ""  # nothing of it may be seen before the side outputs can be made


def test_an_error_that_ends_the_run_is_passed_on_as_it_is():
    side, output = Taker(), Holder(RunError("the disk is full"))
    outputs = OutputList(output, [side])
    outputs.open({})
    with pytest.raises(RunError, match="the disk is full"):
        outputs.write(tagged("bad"))
    outputs.abandon()
    assert (side.end, output.end) == ("abandoned", "abandoned")


def test_a_map_of_tags_shows_nothing_of_a_recording_that_the_output_refused(tmp_path):
    picture = TagPicture(str(tmp_path / "map.svg"), ["good", "bad"])
    outputs = OutputList(Holder(InputError("bad", "output", "no")), [picture])
    outputs.open({"labels": ["rain", "wind"]})
    outputs.write(tagged("good"))
    with pytest.raises(InputError):
        outputs.write(tagged("bad"))
    outputs.write(FileError("bad", "output", "no"))
    outputs.finish()
    found = svg_texts((tmp_path / "map.svg").read_bytes())
    assert [text for text in found if text in ("0.90", "0.10")] == ["0.90", "0.10"]
