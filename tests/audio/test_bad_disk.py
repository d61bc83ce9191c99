"""A disk's read error is an error of that recording, at its beginning and in its middle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from audio.corpus import Recordings

# Loaded before all other libraries: a place of each of some files cannot be read, "INODE:OFFSET INODE:OFFSET ...".
BAD_DISK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t readable(int fd, long at, size_t count) {
    struct stat status;
    char *rest = getenv("BAD_PLACES");
    if (rest == NULL || fstat(fd, &status) != 0) return count;
    while (rest != NULL && *rest) {
        unsigned long inode = strtoul(rest, &rest, 10);
        long bad = strtol(rest + 1, &rest, 10);
        if (inode == status.st_ino && at + (long)count > bad && at < bad + 4096) return at < bad ? bad - at : -1;
        if (*rest == ' ') rest++;
    }
    return count;
}

ssize_t read(int fd, void *to, size_t count) {
    static ssize_t (*real)(int, void *, size_t);
    if (real == NULL) real = dlsym(RTLD_NEXT, "read");
    ssize_t allowed = readable(fd, lseek(fd, 0, SEEK_CUR), count);
    if (allowed < 0) { errno = EIO; return -1; }
    return real(fd, to, allowed);
}

ssize_t pread64(int fd, void *to, size_t count, off_t at) {
    static ssize_t (*real)(int, void *, size_t, off_t);
    if (real == NULL) real = dlsym(RTLD_NEXT, "pread64");
    ssize_t allowed = readable(fd, at, count);
    if (allowed < 0) { errno = EIO; return -1; }
    return real(fd, to, allowed, at);
}

ssize_t pread(int fd, void *to, size_t count, off_t at) { return pread64(fd, to, count, at); }
"""
DECODE = """
import json, sys
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.errors import InputError
for file in sys.argv[1:]:
    try:
        with open_audio(file) as stream:
            said = [str(sum(map(len, stream.blocks()))), str(stream.warning)]
    except InputError as error:
        said = [error.kind, error.message]
    print(json.dumps([file, *said]))
"""
FORMATS = ("wav", "flac", "mp3", "ogg", "mkv", "m4a", "aac")


@pytest.fixture
def bad_disk(tmp_path: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler here to make a disk that fails")
    source, library = tmp_path / "bad.c", tmp_path / "bad.so"
    source.write_text(BAD_DISK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=60)
    return library


def make(recordings: Recordings, name: str) -> Path:
    samples = recordings.noise(4 * 48_000)
    if name.endswith(("wav", "flac")):
        return recordings.sound(name, samples, 48_000, name.rpartition(".")[2].upper(), "PCM_16")
    codec = {"mp3": "libmp3lame", "ogg": "flac"}.get(name.rpartition(".")[2], "aac")
    return recordings.encode(name, codec, samples, 48_000)


def test_what_cannot_be_read_is_an_error(recordings: Recordings, bad_disk: Path) -> None:
    places = {"start": 0.0, "middle": 0.5}
    files = {f"{where}.{form}": make(recordings, f"{where}.{form}") for form in FORMATS for where in places}
    whole = make(recordings, "whole.wav")
    bad = (
        f"{path.stat().st_ino}:{int(places[name.partition('.')[0]] * path.stat().st_size)}"
        for name, path in files.items()
    )
    environment = {**os.environ, "LD_PRELOAD": str(bad_disk), "BAD_PLACES": " ".join(bad)}
    command = [sys.executable, "-c", DECODE, *map(str, files.values()), str(whole)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=110, check=True)
    *said, of_whole = [json.loads(line) for line in ran.stdout.splitlines()]
    assert of_whole == [str(whole), "192000", "None"]
    assert [each[:2] for each in said] == [[str(path), "unreadable"] for path in files.values()], said
    assert all("Input/output error" in message for _, _, message in said)
