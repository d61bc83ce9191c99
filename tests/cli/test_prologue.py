"""The beginning of every command: what the package logs is shown as the user wants it, and only while it runs."""

from __future__ import annotations

import logging

import pytest

from pe_audio_cli.cli.flags import VerbosityFlags
from pe_audio_cli.cli.prologue import begin

LOGGED = {"debug": "a detail", "info": "some information", "warning": "a warning"}


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (VerbosityFlags(quiet=True), []),
        (VerbosityFlags(), ["peaudio: some information", "peaudio: warning: a warning"]),
        (
            VerbosityFlags(verbose=True),
            ["peaudio: a detail", "peaudio: some information", "peaudio: warning: a warning"],
        ),
    ],
    ids=["quiet", "by default", "verbose"],
)
def test_the_log_is_shown_as_far_as_the_user_wants_it(capsys, flags, shown):
    logger = logging.getLogger("pe_audio_cli.somewhere.inside")
    with begin(flags, encodes_audio=False):
        for level, message in LOGGED.items():
            getattr(logger, level)("%s", message)
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", shown)


def test_a_command_leaves_the_logger_as_it_was():
    logger = logging.getLogger("pe_audio_cli")
    before = logger.level, list(logger.handlers)
    with begin(VerbosityFlags(verbose=True), encodes_audio=False):
        assert logger.handlers != before[1]
    assert (logger.level, list(logger.handlers)) == before
