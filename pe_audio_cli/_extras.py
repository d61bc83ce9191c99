"""Optional dependencies: the packages of each extra, and the one message for those that are not installed."""

from __future__ import annotations

from importlib.util import find_spec

from pe_audio_cli.errors import UsageError

__all__ = ["EXTRAS", "require_extra"]

# The modules that each extra of pyproject.toml installs and the package imports.
EXTRAS: dict[str, tuple[str, ...]] = {
    "eval": ("scipy", "sklearn", "tomlkit"),
    "listen": ("sounddevice",),
    "mqtt": ("paho",),
    "parquet": ("pyarrow",),
    "plot": ("matplotlib",),
    "ray": ("ray", "pyarrow"),
    "search": ("duckdb", "pyarrow"),
    "serve": ("starlette", "uvicorn", "python_multipart"),
}


def require_extra(extra: str, feature: str, alternative: str = "") -> None:
    """Check that the modules of an extra can be found; none is imported.

    Args:
        extra: a key of :data:`EXTRAS`.
        feature: the subject of the message, such as ``--plot``.
        alternative: what to do without the extra, such as ``name another format``.

    Raises:
        UsageError: one is missing. The message names it and the command that installs it.
    """
    for module in EXTRAS[extra]:
        if find_spec(module) is None:
            advice = f", or {alternative}" if alternative else ""
            raise UsageError(f"{feature} needs {module}: pip install 'pe-audio-cli[{extra}]'{advice}")
