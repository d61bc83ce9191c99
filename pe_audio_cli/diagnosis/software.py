"""The versions of what is installed, and the decoders of recordings."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from importlib import metadata
from typing import Any

from pe_audio_cli._paths import reason

__all__ = ["decoders", "packages", "platform_name"]

DISTRIBUTION = "pe-audio-cli"
FOR_DEVELOPERS = re.compile(r"extra == ['\"](dev|docs)['\"]")
# Looked up even where peaudio itself is not installed, but run from a folder.
ALWAYS = ("av", "duckdb", "llvmlite", "numpy", "onnxruntime", "rich", "soundfile", "soxr", "torch", "transformers")
NAME = re.compile(r"[A-Za-z0-9._-]+")
PATIENCE = 20.0  # seconds for a program to state its version


def platform_name() -> str:
    """Return the system, its release and architecture."""
    return platform.platform(terse=False)


def packages() -> dict[str, str | None]:
    """Return the versions of the packages that peaudio and its extras need, None for one that is not installed."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        requirements = []
    versions = {name: _version(name) for name in ALWAYS}
    for requirement in requirements:
        found = NAME.match(requirement)
        if found is None or FOR_DEVELOPERS.search(requirement) or found[0].lower() == DISTRIBUTION:
            continue
        version = _version(found[0])
        if version is not None or "python_version" not in requirement:  # else it is for another Python
            versions[found[0].lower()] = version
    return dict(sorted(versions.items()))


def decoders() -> list[dict[str, Any]]:
    """Return each decoder and the resampler: name, version, if it is needed, details, and the error if it fails."""
    return [
        _tried("libsndfile", _libsndfile),
        _tried("FFmpeg", _ffmpeg_libraries),
        _tried("soxr", _soxr),
        {"needed": False, **_ffmpeg_program()},
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _tried(name: str, describe: Any) -> dict[str, Any]:
    try:
        version, details = describe()
    except Exception as error:  # a broken library raises anything
        return {"name": name, "needed": True, "version": None, "details": None, "error": _line(error)}
    return {"name": name, "needed": True, "version": version, "details": details, "error": None}


def _libsndfile() -> tuple[str, str]:
    import soundfile

    return str(soundfile.__libsndfile_version__), f"{len(soundfile.available_formats())} formats"


def _ffmpeg_libraries() -> tuple[str, str]:
    import av

    numbers = {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
    used = ("libavcodec", "libavformat", "libavutil")
    stated = str(getattr(av, "ffmpeg_version_info", "unknown"))
    details = ", ".join(f"{name} {numbers[name]}" for name in used if name in numbers)
    return stated, f"in PyAV {av.__version__}: {details}"


def _soxr() -> tuple[str, str]:
    import soxr

    return str(getattr(soxr, "__libsoxr_version__", "unknown")), f"in python-soxr {soxr.__version__}, which resamples"


def _ffmpeg_program() -> dict[str, Any]:
    """Describe the program, which peaudio does not use, though scripts do."""
    program = {"name": "ffmpeg program", "version": None, "details": None, "error": None}
    path = shutil.which("ffmpeg")
    if path is None:
        return {**program, "details": "not on PATH, and not needed"}
    try:
        ran = subprocess.run(
            [path, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {**program, "details": path, "error": _line(error)}
    found = re.match(r"ffmpeg version (\S+)", ran.stdout.decode("utf-8", "replace"))
    return {**program, "details": path, "version": None if found is None else found[1]}


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {reason(error)}"[:300]
