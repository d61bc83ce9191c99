"""Options are defined once: what is added to a class of options is a flag, a setting and a keyword."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from support import REFERENCE, write_tone

import pe_audio_cli
from pe_audio_cli import Model
from pe_audio_cli.errors import UsageError
from pe_audio_cli.options import EventOptions, Option, TagOptions, defaults, options_of

STATIC = Path(pe_audio_cli.__file__).parent / "report" / "static"

# Adds an option of events, and what it does, before anything else is imported: a line in options.py and events.py each.
ADDED = """
import dataclasses, json, sys
import pe_audio_cli.options as options

field = options.option(
    None, "Events longer than this vanish.", "SECONDS", name="longest event", high=60, unit=" s", short="max",
    tried=(None, 0.5),
)
options.EventOptions = dataclasses.make_dataclass(
    "EventOptions", [("max_duration", "float | None", field)], bases=(options.EventOptions,), frozen=True
)

import pe_audio_cli.detection.events as events

plain = events._spans

def spans(probability, rules):
    found = plain(probability, rules)
    if rules.max_duration is None:
        return found
    return found[found[:, 1] - found[:, 0] <= rules.max_duration * events.FRAMES_PER_SECOND]

events._spans = spans
"""

COMMANDS = """
from pe_audio_cli.cli.app import main

for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit:
        pass
"""

PYTHON = """
import inspect
from pe_audio_cli import EventOptions, Model, load

model = load(sys.argv[1], device="cpu")
assert "max_duration" in inspect.signature(Model.localize).parameters
for given in ({}, {"max_duration": 0.5}, {"options": EventOptions(0.0, max_duration=0.5)}):
    (result,) = model.localize(sys.argv[2], "rain", **{"threshold": 0.0, **given})
    print(len(result.events))
"""

TUNER = """
from pe_audio_cli.evaluation.tuning.threshold_search import EventCandidates

best = options.EventOptions(0.5)
tried = [each for step in EventCandidates([], 0, True).further() for each in step(best)]
print(sorted({each.max_duration for each in tried}, key=str))
"""


PAGE = """
plain_rules = events.FrameRules
events.FrameRules = dataclasses.make_dataclass(
    "FrameRules", [("longest", "int | None", None)], bases=(plain_rules,), frozen=True
)
events.FrameRules.of = classmethod(
    lambda cls, options: cls(**dataclasses.asdict(plain_rules.of(options)), longest=round(options.max_duration * 25))
)

from pe_audio_cli.report.page import PageOptions, PageWriter

page = PageWriter(sys.stdout, PageOptions("report.html", options.EventOptions(max_duration=0.4)))
page.open()
"""


def run(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "PEAUDIO_MODEL": str(REFERENCE / "pe-a-frame-tiny")}
    code = ADDED + code
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, env=environment, check=True
    )


def run_commands(*commands: tuple[str | Path, ...]) -> subprocess.CompletedProcess[str]:
    """Several command lines in one process, which is quicker."""
    return run(COMMANDS, json.dumps([[*map(str, command)] for command in commands]))


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    return write_tone(tmp_path / "tone.wav", 2.0)


def test_an_option_of_events_that_is_added_is_in_the_help() -> None:
    localize, evaluate = (run_commands((command, "--help")).stdout for command in ("localize", "eval"))
    assert "--max-duration" in localize and "Events longer than this vanish." in localize
    assert "--max-duration" in evaluate


def test_an_option_of_events_that_is_added_is_a_flag_and_a_setting(tone: Path, tmp_path: Path) -> None:
    own, wrong = tmp_path / "own.toml", tmp_path / "wrong.toml"
    own.write_text("[localize.labels.rain]\nmax_duration = 0.5\n", encoding="utf-8")
    wrong.write_text("[localize]\nmax_duration = 61\n", encoding="utf-8")
    asked = ("localize", tone, "--labels", "rain", "--threshold", "0", "--quiet", "--settings")
    done = run_commands(
        (*asked, "none"),
        (*asked, "none", "--max-duration", "0.5"),
        (*asked, "none", "--max-duration", "2"),
        (*asked, own),
        (*asked, own, "--max-duration", "2"),
        (*asked, "none", "--max-duration", "61"),
        (*asked, wrong),
    )
    assert [len(json.loads(line)["events"]) for line in done.stdout.splitlines()] == [1, 0, 1, 0, 1]
    refused = "the longest event must be from 0 to 60 s: got 61"
    assert done.stderr.splitlines() == [f"peaudio: {refused}", f"peaudio: wrong.toml: {refused}"]


def test_an_option_of_events_that_is_added_is_a_keyword_in_python(tone: Path) -> None:
    assert run(PYTHON, REFERENCE / "pe-a-frame-tiny", tone).stdout.split() == ["1", "0", "0"]


def test_an_option_of_events_that_is_added_is_in_the_rule_of_the_report() -> None:
    """The scripts of the page take the rule as it is; what it does is up to ``events.js``."""
    page = run(PAGE).stdout
    settings = json.loads(page[page.index('{"framesPerSecond"') :].partition("</script>")[0])
    assert settings["rule"]["longest"] == 10
    names = "|".join(settings["rule"].keys() - {"offset", "gap", "shortest"})  # the latter two have sliders
    scripts = (STATIC / name for name in ("state.js", "recording.js", "list.js", "page.js"))
    assert [path.name for path in scripts if re.search(rf"\b({names})\b", path.read_text(encoding="utf-8"))] == []


def test_an_option_of_events_that_is_added_is_tuned() -> None:
    assert run(TUNER).stdout.strip() == "[0.5, None]"


@pytest.mark.parametrize(("call", "options"), [(Model.localize, EventOptions), (Model.tag, TagOptions)])
def test_every_option_is_shown_among_the_keywords(call, options: type) -> None:
    parameters = inspect.signature(call).parameters
    for name in options_of(options):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())


@pytest.mark.parametrize("options", [EventOptions, TagOptions])
def test_every_field_is_an_option_with_help_and_a_default_in_its_range(options: type) -> None:
    known = options_of(options)
    assert known.keys() == {each.name for each in fields(options)} == defaults(options).keys()
    for option in known.values():
        assert isinstance(option, Option) and option.help.endswith(".")
    options()


@pytest.mark.parametrize("name", ["threshold", "offset_threshold", "median", "merge_gap", "min_duration"])
@pytest.mark.parametrize("wrong", [-0.001, float("nan"), float("inf"), 3600.001, "0.5", True])
def test_a_value_out_of_its_range_is_refused_with_the_range(name: str, wrong: object) -> None:
    with pytest.raises(UsageError, match="must be from 0 to "):
        EventOptions(**{name: wrong})


def test_only_what_may_be_off_is_off_by_none() -> None:
    with pytest.raises(UsageError, match="the threshold must be from 0 to 1: got None"):
        EventOptions(None)
    assert EventOptions(0.3, None, None, None, None) == EventOptions()


def test_an_unknown_option_is_refused_by_its_name() -> None:
    from pe_audio_cli.api import load

    for ask in (load().tag, load().localize):
        with pytest.raises(TypeError, match=r"there is no option 'treshold': there are .*threshold"):
            ask("a.wav", "rain", treshold=0.5)


def test_options_need_no_numpy() -> None:
    code = "import sys, pe_audio_cli.options; print('numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
