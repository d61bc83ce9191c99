"""The whole examination: an object of the schema ``peaudio.doctor/1``, without secrets."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from pe_audio_cli._paths import expanduser, is_dir
from pe_audio_cli.audio.limits import Limits, variable
from pe_audio_cli.diagnosis.machine import disk, memory, processor
from pe_audio_cli.diagnosis.software import decoders, packages, platform_name
from pe_audio_cli.errors import UsageError
from pe_audio_cli.models.backends.engines import ENGINES, VARIABLE, forced_engine

__all__ = ["VARIABLES", "examine", "without_home"]

SCHEMA = "peaudio.doctor/1"
DEFAULT_ENGINE = "onnx"  # of the shipped checkpoint
# The variables whose values are shown; no other is.
VARIABLES = (
    VARIABLE,
    "PEAUDIO_MODEL",
    *(variable(each.name) for each in fields(Limits)),
    "PEAUDIO_MAX_WHERE_SECONDS",
    "PEAUDIO_MAX_WHERE_BYTES",
)


def examine(version: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Examine this installation and its machine; ``tell`` is told what is done next.

    Nothing that is broken raises: it is an ``error`` of its part, and one of the ``problems`` if the shipped checkpoint
    cannot be used for it. The home folder is ``~`` everywhere.
    """
    needed, problems = _needed_engine()
    engines, devices = _engines(needed, tell)
    found_decoders = decoders()
    problems += [
        f"{each['name']}: {each['error']}" for each in [*engines, *found_decoders] if each["needed"] and each["error"]
    ]
    caches = [_cache("labels", _label_cache), _cache("checkpoints", _hub_cache)]
    temporary = _temporary_folder()
    if temporary is None:
        problems.append("no temporary folder can be written to: set TMPDIR to another folder")
    report = {
        "schema": SCHEMA,
        "ok": not problems,
        "problems": problems,
        "versions": {"peaudio": version, "python": _python(), "platform": platform_name()},
        "packages": packages(),
        "engines": engines,
        "devices": devices,
        "decoders": found_decoders,
        "caches": caches,
        "processor": processor(),
        "memory": memory(),
        "disks": [
            *(disk(f"{each['name']} cache", Path(each["folder"])) for each in caches if each["folder"] is not None),
            *([] if temporary is None else [disk("temporary files", temporary)]),
        ],
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }
    return {name: without_home(value) for name, value in report.items()}


def without_home(value: Any, home: str | None = None) -> Any:
    """Return texts, and lists and dictionaries of them, with ``~`` in place of the home folder."""
    folder = expanduser("~") if home is None else home
    if len(folder) < 2 or folder == "~":  # the root folder, or none
        return value
    if isinstance(value, str):
        return re.sub(rf"(?<![\w.-]){re.escape(folder)}(?!\.?[\w-])", "~", value)
    if isinstance(value, list):
        return [without_home(each, folder) for each in value]
    if isinstance(value, dict):
        return {name: without_home(each, folder) for name, each in value.items()}
    return value


def _python() -> str:
    return f"{platform.python_version()} ({platform.python_implementation()})"


def _needed_engine() -> tuple[str, list[str]]:
    """Return the engine that the shipped checkpoint is run by, and what is wrong with its choice."""
    try:
        return forced_engine() or DEFAULT_ENGINE, []
    except UsageError as error:
        return DEFAULT_ENGINE, [str(error)]


def _engines(needed: str, tell: Callable[[str], None]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Test each engine; return the results, and the devices that torch sees."""
    from pe_audio_cli.models.self_test import TOLERANCE, check_engine

    results: list[dict[str, Any]] = []
    devices: list[dict[str, Any]] = []
    for engine in ENGINES:
        tell(f"testing {engine}")
        tested = check_engine(engine)
        results.append(
            {
                "name": engine,
                "needed": engine == needed,
                "backend": tested.backend,
                "seconds": round(tested.seconds, 3),
                "difference": tested.difference,
                "tolerance": TOLERANCE,
                "error": tested.error,
            }
        )
        devices = devices or [dataclasses.asdict(each) for each in tested.devices]
    renamed = [{"name": each["name"], "description": each["description"], "bytes": each["n_bytes"]} for each in devices]
    return results, renamed


def _label_cache() -> Path | None:
    from pe_audio_cli.models.text_cache import NOWHERE, LabelCache

    folder = LabelCache.of_user("", "", 1).folder
    return None if folder == NOWHERE else folder


def _hub_cache() -> Path | None:
    from pe_audio_cli.models.hub import cache_folder

    return cache_folder()


def _cache(name: str, find: Callable[[], Path | None]) -> dict[str, Any]:
    """Describe a cache: its folder, None for a user without one, its files and their bytes."""
    try:
        folder = find()
    except Exception as error:  # a broken library raises anything
        return {"name": name, "folder": None, "files": 0, "bytes": 0, "error": f"{type(error).__name__}: {error}"}
    sizes = [] if folder is None else list(_sizes(folder))
    where = None if folder is None else str(folder)
    return {"name": name, "folder": where, "files": len(sizes), "bytes": sum(sizes), "error": None}


def _sizes(folder: Path) -> Iterator[int]:
    """Yield the size of each file below a folder, links left out; what cannot be read is not there."""
    for parent, _, names in os.walk(folder) if is_dir(folder) else ():
        for name in names:
            with contextlib.suppress(OSError):
                file = Path(parent, name)
                if not file.is_symlink():
                    yield file.stat().st_size


def _temporary_folder() -> Path | None:
    """Return the folder of temporary files, None if none can be written to."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return None
