"""The allocator setting: done where there is a glibc, and without an effect on any number."""

from __future__ import annotations

import platform

from pe_audio_cli.models.kernels.malloc import configure_malloc


def test_it_is_done_on_glibc_and_nowhere_else(monkeypatch):
    assert configure_malloc() == (platform.libc_ver()[0] == "glibc")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    assert not configure_malloc()
