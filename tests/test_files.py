"""Files that appear whole or not at all, helpers that touch nothing of others', and locks."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli._files import (
    Lock,
    NewFile,
    create,
    fitting,
    growing,
    helper,
    open_helper,
    publish,
    sweep,
    writable_place,
)
from pe_audio_cli.errors import OutputError

HOLDER = """
import sys
from pathlib import Path
from pe_audio_cli._files import {what}
{do}
print("ready", flush=True)
sys.stdin.read()
"""
NOT_ON_WINDOWS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such thing")


@contextlib.contextmanager
def another_process(what: str, do: str, *arguments: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has done something and waits; it ends with the block at the latest."""
    script = HOLDER.format(what=what, do=do)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(st.text(max_size=300).filter(lambda text: "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)))
def test_a_name_fits_and_stays_itself_where_it_did(name):
    fitted = fitting(name, ".journal")
    assert len(os.fsencode(fitted)) <= 255
    assert fitted.endswith(".journal")
    if len(os.fsencode(name)) <= 247:
        assert fitted == name + ".journal"
    assert fitting(name, ".journal") == fitted


def test_long_names_that_begin_alike_stay_apart():
    assert fitting("ü" * 300 + "a", ".csv") != fitting("ü" * 300 + "b", ".csv")
    assert fitting("ü" * 300, ".csv").startswith("ü" * 100)


def in_the_way(path: Path, what: str, elsewhere: Path) -> None:
    """Put something into a helper's place that no run of ours has left there."""
    elsewhere.write_text("mine")
    if what == "file":
        path.write_text("mine")
    elif what == "link":
        path.symlink_to(elsewhere)
    elif what == "link to nothing":
        path.symlink_to(elsewhere.with_name("nothing"))
    elif what == "second name":
        os.link(elsewhere, path)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "socket":
        with contextlib.chdir(path.parent) if hasattr(contextlib, "chdir") else contextlib.nullcontext():
            bound = socket.socket(socket.AF_UNIX)
            bound.bind(path.name if hasattr(contextlib, "chdir") else str(path))
            bound.close()
    else:
        path.mkdir()


THINGS = ["file", "link", "link to nothing", "second name", "pipe", "socket", "folder"]


def state(folder: Path) -> dict[str, object]:
    """Everything in a folder, and what is in it."""
    return {
        path.name: os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else path.lstat().st_mode
        for path in folder.iterdir()
    }


@NOT_ON_WINDOWS
@pytest.mark.parametrize("ending", [".part", ".lock"])
@pytest.mark.parametrize("what", THINGS)
def test_whatever_lies_in_a_helpers_place_is_refused_and_stays_as_it_is(tmp_path, ending, what):
    target = tmp_path / "o.npz"
    in_the_way(helper(target, ending), what, tmp_path / "elsewhere")
    before = state(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=f"o.npz{ending} is in the way"):
            NewFile(target, overwrite=overwrite).open()
    assert state(tmp_path) == before


@NOT_ON_WINDOWS
@pytest.mark.parametrize("what", THINGS[1:])
def test_no_helper_is_opened_through_a_link_or_by_a_second_name(tmp_path, what):
    in_the_way(tmp_path / "o.part", what, tmp_path / "elsewhere")
    for mode in ("rb", "r+b"):
        with pytest.raises(OutputError, match="in the way"):
            open_helper(tmp_path / "o.part", mode)


def test_a_new_file_appears_whole_and_alone(tmp_path):
    new = NewFile(tmp_path / "o.npz")
    new.open().write(b"content")
    assert names(tmp_path) == ["o.npz.lock", "o.npz.part"]
    new.publish()
    assert state(tmp_path) == {"o.npz": b"content"}
    new.discard()
    assert state(tmp_path) == {"o.npz": b"content"}
    with pytest.raises(OutputError, match="exists"):
        NewFile(tmp_path / "o.npz")
    given_up = NewFile(tmp_path / "o.npz", overwrite=True)
    given_up.open().write(b"other")
    given_up.discard()
    assert state(tmp_path) == {"o.npz": b"content"}


def test_what_appears_meanwhile_stays_and_what_was_made_too(tmp_path):
    new = NewFile(tmp_path / "o.npz")
    new.open().write(b"content")
    (tmp_path / "o.npz").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        new.publish()
    assert state(tmp_path) == {"o.npz": b"mine", "o.npz.part": b"content"}


def test_a_file_system_without_links_replaces_nothing_either(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    publish(tmp_path / "a", tmp_path / "new")
    with pytest.raises(FileExistsError):
        publish(tmp_path / "b", tmp_path / "c")
    assert state(tmp_path) == {"new": b"a", "b": b"b", "c": b"c"}


def test_a_part_that_was_removed_meanwhile_is_no_success(tmp_path):
    new = NewFile(tmp_path / "o.npz")
    new.open().write(b"content")
    new.part.unlink()
    new.part.write_text("somebody else's")
    with pytest.raises(OSError, match="removed meanwhile"):
        new.publish()
    new.discard()
    assert state(tmp_path) == {"o.npz.part": b"somebody else's"}


def test_a_second_process_is_refused_in_one_line(tmp_path):
    do = "new = NewFile(Path(sys.argv[1])); new.open()"
    with another_process("NewFile", do, tmp_path / "o.npz") as process:
        with pytest.raises(OutputError, match=rf"o.npz is being written by another run \(process {process.pid}\)"):
            NewFile(tmp_path / "o.npz").open()
        assert names(tmp_path) == ["o.npz.lock", "o.npz.part"]


def test_what_a_killed_process_leaves_holds_nobody_up(tmp_path):
    with another_process("NewFile", "new = NewFile(Path(sys.argv[1])); new.open()", tmp_path / "o.npz") as process:
        process.kill()
        process.wait()
    assert names(tmp_path) == ["o.npz.lock", "o.npz.part"]
    new = NewFile(tmp_path / "o.npz")
    new.open().write(b"content")
    new.publish()
    assert state(tmp_path) == {"o.npz": b"content"}


def test_a_lock_without_the_systems_help_goes_by_the_process(tmp_path, monkeypatch):
    from pe_audio_cli import _files

    def no_locks(_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(_files, "lock", no_locks)
    first, second = (Lock(tmp_path / "o.lock", tmp_path / "o") for _ in range(2))
    first.take()
    with pytest.raises(OutputError, match="seems to be written by another run"):
        second.take()
    first.release()
    second.take()
    second.release()
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    (tmp_path / "o.lock").write_bytes(f"peaudio {int(done.stdout)} {_files._machine()}\n".encode())
    first.take()
    assert first.left_behind
    first.release()
    (tmp_path / "o.lock").write_bytes(b"peaudio 1 another.machine\n")
    with pytest.raises(OutputError, match=r"remove .*o\.lock"):
        first.take()


@NOT_ON_WINDOWS
def test_a_lock_tells_when_its_folder_is_gone(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    lock = Lock(folder / "o.lock", folder)
    lock.take()
    assert lock.holds()
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    assert not lock.holds()
    lock.release()


@NOT_ON_WINDOWS
def test_a_link_is_written_through_and_no_device_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "o.csv").write_text("old")
    link = tmp_path / "o.csv"
    link.symlink_to(tmp_path / "real" / "o.csv")
    with pytest.raises(OutputError, match="exists"):
        NewFile(link)
    new = NewFile(link, overwrite=True)
    new.open().write(b"new")
    new.publish()
    assert link.is_symlink()
    assert state(tmp_path / "real") == {"o.csv": b"new"}
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    for path in ("/dev/null", tmp_path / "pipe", tmp_path / "loop", tmp_path / "real"):
        with pytest.raises(OutputError, match=r"not a file|cannot write"):
            writable_place(Path(path), overwrite=True)
    with pytest.raises(OutputError, match="dangling link"):
        writable_place(tmp_path / "dangling")
    assert writable_place(tmp_path / "dangling", overwrite=True).name == "nowhere"


@NOT_ON_WINDOWS
def test_who_may_read_a_file_stays_as_it_was_when_it_is_replaced(tmp_path):
    (tmp_path / "o").write_text("secret")
    (tmp_path / "o").chmod(0o600)
    new = NewFile(tmp_path / "o", overwrite=True)
    new.open().write(b"new")
    new.publish()
    assert (tmp_path / "o").stat().st_mode & 0o777 == 0o600


def test_copies_that_killed_processes_left_are_swept_and_nothing_else(tmp_path):
    target = tmp_path / "i[1]*.vectors"
    others = ["i1x.vectors.peaudio-0123456789abcdef.part", "i[1]*.vectors.download.part", "i[1]*.vectors.part"]
    for name in others:
        (tmp_path / name).write_text("mine")
    do = "writing = growing(Path(sys.argv[1])); writing.__enter__().write(b'half')"
    with another_process("growing", do, target) as alive, another_process("growing", do, target) as dead:
        os.kill(dead.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        dead.wait()
        assert len(names(tmp_path)) == 5
        sweep(target)
        assert len(names(tmp_path)) == 4
        assert alive.poll() is None
    sweep(target)
    assert names(tmp_path) == sorted(others)


def test_a_copy_replaces_what_is_there_when_it_is_whole(tmp_path):
    with growing(tmp_path / "v") as file:
        file.write(b"one")
        assert not (tmp_path / "v").exists()
    with pytest.raises(RuntimeError), growing(tmp_path / "v") as file:
        file.write(b"two")
        raise RuntimeError
    assert state(tmp_path) == {"v": b"one"}


def test_nothing_that_is_there_is_created_again(tmp_path):
    (tmp_path / "x").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        create(tmp_path / "x")
