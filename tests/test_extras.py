"""Messages about extras that are not installed."""

from __future__ import annotations

import sys

import pytest

from pe_audio_cli._extras import EXTRAS, require_extra
from pe_audio_cli.errors import UsageError


@pytest.mark.parametrize(("extra", "module"), [(extra, module) for extra in EXTRAS for module in EXTRAS[extra]])
def test_each_missing_module_is_named_with_the_command_that_installs_it(
    extra: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in EXTRAS[extra]:
        monkeypatch.setitem(sys.modules, each, sys)  # something that is there
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError) as raised:
        require_extra(extra, "this")
    assert str(raised.value) == f"this needs {module}: pip install 'pe-audio-cli[{extra}]'"


def test_a_way_without_the_extra_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"\[parquet\]', or name another format$"):
        require_extra("parquet", "out.parquet", "name another format")


def test_what_is_installed_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "test", ("this",))  # the Zen of Python prints when it is imported
    monkeypatch.delitem(sys.modules, "this", raising=False)
    require_extra("test", "it")
    assert "this" not in sys.modules
