"""Checkpoints from a hub: fetched once, whole or not at all, with one line for whatever goes wrong."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest
from stub_hub import tag
from support import REFERENCE

from pe_audio_cli.errors import CheckpointError, RunError, UsageError
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.download import storage
from pe_audio_cli.models.hub import Pulled, cached, find, pull

REPO = "facebook/pe-av-base"
WEIGHTS = "model.safetensors"
NEWER = "f" * 40


class Interrupter:
    """Listens to a download, and presses Ctrl-C once so many bytes are here."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes

    def __call__(self, repo: str, n_bytes: int, n_all: int) -> None:
        if n_bytes >= self.n_bytes:
            raise KeyboardInterrupt


def interrupt(fetch=find, n_bytes: int = 1_000_000) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(REPO, on_bytes=Interrupter(n_bytes))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def part_of_weights(hub) -> Path:
    return storage(REPO) / "blobs" / f"{tag(hub.repos[REPO][WEIGHTS])}.incomplete"


@pytest.fixture
def no_patience(monkeypatch):
    """The hub's client waits a second before it tries again; here it doesn't."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def test_a_checkpoint_is_fetched_once_and_then_used_without_the_hub(hub):
    folder = find(REPO)
    assert contents(folder) == hub.repos[REPO]
    assert Checkpoint.open(folder, "base").layout == "pe_audio_video"
    hub.failing = True
    assert find(REPO) == find(REPO, offline=True) == cached(REPO) == folder


def test_code_and_pickled_weights_stay_where_they_are(hub):
    hub.repos[REPO] |= {"pytorch_model.bin": b"pickled" * 9999, "modeling.py": b"import os", "vocab.txt": b"words"}
    assert {file.name for file in find(REPO).iterdir()} & {"pytorch_model.bin", "modeling.py", "vocab.txt"} == {
        "vocab.txt"
    }


def test_a_download_tells_how_far_it_is(hub):
    told = []
    find(REPO, on_bytes=lambda *bytes_: told.append(bytes_))
    n_all = sum(map(len, hub.repos[REPO].values()))
    assert {(repo, all_) for repo, _, all_ in told} == {(REPO, n_all)}
    counts = [n_bytes for _, n_bytes, _ in told]
    assert counts == sorted(counts)
    assert counts[-1] == n_all
    assert len(set(counts)) > 20


@pytest.mark.parametrize("n_bytes", [1, 5_000, 1_000_000, 2_600_000])
def test_an_interrupted_download_is_no_checkpoint_and_the_next_run_goes_on_with_it(hub, n_bytes):
    interrupt(n_bytes=n_bytes)
    assert cached(REPO) is None
    with pytest.raises(CheckpointError, match="not on this machine"):
        find(REPO, offline=True)
    hub.asked.clear()
    assert contents(find(REPO)) == hub.repos[REPO]
    ((_, start),) = [asked for asked in hub.asked if asked[0] == WEIGHTS]
    assert n_bytes - 200_000 < start <= n_bytes


def test_weights_come_after_all_else(hub):
    hub.repos[REPO]["zz.json"] = b"{}"
    find(REPO)
    assert hub.asked[-1] == (WEIGHTS, 0)


def test_a_connection_that_breaks_is_taken_up_again(hub, no_patience):
    hub.breaks_after = 500_000
    assert contents(find(REPO)) == hub.repos[REPO]
    assert len([name for name, _ in hub.asked if name == WEIGHTS]) > 3


@pytest.mark.parametrize(("n_bytes", "ends_well"), [(1_000_000, True), (0, False)])
def test_a_break_of_which_the_client_knows_nothing_is_taken_up_while_something_comes(
    hub, monkeypatch, n_bytes, ends_well
):
    def http_get(url, file, *, resume_size=None, **rest):
        if resume_size is None:  # a small file, which the client fetches by itself
            return real(url, file, **rest)
        file.write(weights[resume_size:][:n_bytes])
        if resume_size + n_bytes < len(weights):
            raise RuntimeError("the wire was cut")

    from huggingface_hub import file_download

    weights, real = hub.repos[REPO][WEIGHTS], file_download.http_get
    monkeypatch.setattr(file_download, "http_get", http_get)
    if ends_well:
        assert contents(find(REPO))[WEIGHTS] == weights
    else:
        with pytest.raises(CheckpointError, match=r"could not be downloaded \(the wire was cut\)"):
            find(REPO)


def test_a_hub_that_gives_out_in_the_middle_leaves_what_the_next_run_goes_on_with(hub, no_patience):
    interrupt()
    hub.breaks_after = 0
    with pytest.raises(CheckpointError, match=r"could not be downloaded \(.*\): run the same command again to resume"):
        find(REPO)
    hub.breaks_after = None
    hub.asked.clear()
    find(REPO)
    assert [name for name, start in hub.asked if start > 0] == [WEIGHTS]


def test_what_came_damaged_is_thrown_away(hub):
    hub.damaged = True
    with pytest.raises(CheckpointError, match=r"model\.safetensors was damaged in transit; run the same command again"):
        find(REPO)
    assert cached(REPO) is None
    hub.damaged = False
    assert contents(find(REPO)) == hub.repos[REPO]


def test_more_than_there_should_be_is_thrown_away(hub):
    interrupt()
    part_of_weights(hub).write_bytes(bytes(3_000_000))
    assert contents(find(REPO)) == hub.repos[REPO]


def test_two_processes_do_not_write_the_same_file(hub):
    interrupt()
    with part_of_weights(hub).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CheckpointError, match=f"another process is fetching {REPO}"):
            find(REPO)
    find(REPO)


def test_a_model_of_another_kind_is_refused_before_its_weights_come(hub):
    hub.repos[REPO]["config.json"] = b'{"model_type": "bert", "architectures": ["BertModel"]}'
    with pytest.raises(CheckpointError, match=r"is not a PE Audio checkpoint but a bert model"):
        find(REPO)
    assert WEIGHTS not in dict(hub.asked)


def test_a_checkpoint_without_safetensors_is_refused(hub):
    hub.repos[REPO]["pytorch_model.bin"] = hub.repos[REPO].pop(WEIGHTS)
    with pytest.raises(CheckpointError, match=r"holds no model\.safetensors"):
        find(REPO)
    assert cached(REPO) is None


@pytest.mark.parametrize(
    ("repo", "revision", "says"),
    [
        ("facebook/nothing", None, "there is no model facebook/nothing on the hub, or it needs a token"),
        ("a--b/c", None, "could not be downloaded"),
        (REPO, "v9", f"{REPO} has no revision v9: check --revision"),
    ],
)
def test_what_the_hub_does_not_have(hub, repo, revision, says):
    with pytest.raises(CheckpointError, match=says):
        find(repo, revision)


def test_a_gated_checkpoint_says_how_to_get_in(hub):
    hub.gated.add(REPO)
    with pytest.raises(CheckpointError, match="is gated: accept its terms on its page, and set HF_TOKEN"):
        find(REPO)


def test_a_hub_that_is_ill_is_named(hub, no_patience):
    hub.failing = True
    with pytest.raises(CheckpointError, match=r"could not be downloaded \(.*500"):
        find(REPO)


def test_a_disk_without_room_is_refused_before_anything_comes(hub, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(RunError, match=r"needs 2\.6 MB more, and only 1\.0 MB are free: free space in .*HF_HOME"):
        find(REPO)
    assert not hub.asked


def test_the_room_for_the_rest_of_a_download_is_enough(hub, monkeypatch):
    interrupt(n_bytes=2_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    find(REPO)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_meanwhile_is_told(hub):
    part = part_of_weights(hub)
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(RunError, match=f"the disk was full before {REPO} was complete: free space"):
        find(REPO)


def test_a_cache_that_cannot_be_written_to_is_told(hub, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CheckpointError, match=r"cannot be stored in .*hub \(Permission denied\): set HF_HOME"):
        find(REPO)


def test_a_pull_brings_what_is_newer(hub):
    first = pull(REPO)
    assert first == Pulled(cached(REPO), is_new=True, is_latest=True)
    assert pull(REPO) == Pulled(first.folder, is_new=False, is_latest=True)
    hub.commit = NEWER
    hub.repos[REPO]["extra.json"] = b"{}"
    assert find(REPO) == first.folder
    newer = pull(REPO)
    assert newer.is_new
    assert find(REPO) == newer.folder != first.folder
    assert contents(newer.folder) == hub.repos[REPO]


def test_an_interrupted_pull_leaves_what_was_there_in_use(hub):
    first = pull(REPO)
    hub.commit = NEWER
    hub.repos[REPO][WEIGHTS] = hub.repos[REPO][WEIGHTS][::-1]
    interrupt(pull)
    assert find(REPO) == find(REPO, offline=True) == first.folder
    assert pull(REPO).folder != first.folder


def test_a_pull_makes_do_with_what_is_here_where_the_hub_is_out_of_reach(hub, monkeypatch):
    folder = pull(REPO).folder
    assert pull(REPO, offline=True) == Pulled(folder, is_new=False, is_latest=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert pull(REPO) == Pulled(folder, is_new=False, is_latest=False)
    with pytest.raises(CheckpointError, match="the hub is unreachable"):
        pull("facebook/pe-a-frame-base")


@pytest.mark.parametrize(
    "endpoint", ["hub.example", "ftp://hub.example:21", "https://", "http://[::1", "http://a:99999", "https://a:port"]
)
def test_an_endpoint_that_is_no_address_is_said(hub, monkeypatch, endpoint):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    for fetch in (find, pull):
        with pytest.raises(UsageError, match="HF_ENDPOINT is no address of a hub"):
            fetch(REPO)


def test_a_pinned_revision_stays_what_it_is(hub):
    folder = find(REPO, hub.commit)
    assert cached(REPO) is None
    pinned, hub.commit = hub.commit, NEWER
    assert find(REPO, pinned) == folder
    assert find(REPO) != folder


def test_a_checkpoint_that_the_client_itself_left_unfinished_is_completed(hub):
    from huggingface_hub import hf_hub_download

    for name in ("config.json", "tokenizer.json", WEIGHTS):
        hf_hub_download(REPO, name)
    assert contents(pull(REPO).folder) == contents(REFERENCE / "pe-av-tiny")


OUTSIDE = ["../../../../outside", "/tmp/outside", "..\\outside", "", None, 3, ["a" * 64]]
OUTSIDE += ["a" * 63, "A" * 64, "a" * 64 + "\n"]
NAMES = ["../../../outside.json", "/tmp/outside.json", "..\\outside.json", "C:outside.json", "a//b.json", "./b.json"]
NAMES += ["a/../../b.json", "new\nline.json", "\x1b[2J.json"]


@pytest.mark.parametrize("sha256", OUTSIDE, ids=map(repr, OUTSIDE))
def test_a_sum_that_is_none_is_no_path(hub, tmp_path, sha256):
    place = tmp_path / "home" / "outside.incomplete"
    place.parent.mkdir()
    place.write_text("somebody's")
    hub.lies[WEIGHTS] = {"lfs": {"sha256": sha256, "size": 20_000, "pointerSize": 130}}
    with pytest.raises(CheckpointError, match=r"could not be downloaded|holds a name, sum or size that cannot be one"):
        find(REPO)
    assert place.read_text() == "somebody's" and not hub.asked
    assert [path.name for path in tmp_path.rglob("*.incomplete")] == [place.name]


@pytest.mark.parametrize("commit", ["../../../../outside", "main", "", "0" * 39, "0" * 40 + "/.."])
def test_a_commit_that_is_none_is_no_path(hub, tmp_path, commit):
    hub.commit = commit
    with pytest.raises(CheckpointError, match="cannot be one"):
        find(REPO)
    assert not hub.asked and not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", NAMES, ids=map(repr, NAMES))
def test_a_name_that_leaves_the_folder_is_no_path(hub, tmp_path, name):
    hub.repos[REPO][name] = b"{}"
    with pytest.raises(CheckpointError, match="cannot be one"):
        find(REPO)
    assert not hub.asked and not (tmp_path / "home").exists()


@pytest.mark.parametrize("size", [-1, 10**30, "20", True, 2.5])
def test_a_size_that_is_none_is_refused(hub, size):
    hub.lies[WEIGHTS] = {"lfs": {"sha256": "a" * 64, "size": size, "pointerSize": 130}}
    with pytest.raises(CheckpointError, match=r"cannot be one|could not be downloaded"):
        find(REPO)
    assert not hub.asked


@pytest.mark.parametrize("etag", ["../../../../../outside", "x" * 64])
def test_what_a_header_calls_a_file_is_no_path_either(hub, tmp_path, etag):
    hub.etag = etag
    assert contents(find(REPO)) == hub.repos[REPO]
    assert not [path for path in tmp_path.rglob("*") if "outside" in path.name or etag in path.name]


def test_a_hub_that_sends_more_than_it_said_fills_no_disk(hub, no_patience):
    hub.endless = True
    with pytest.raises(CheckpointError, match=r"was damaged in transit|could not be downloaded"):
        find(REPO)
    assert cached(REPO) is None
    assert sum(path.stat().st_size for path in storage(REPO).rglob("*") if path.is_file()) < 3_000_000


def test_a_small_file_that_came_damaged_is_thrown_away(hub):
    hub.lies["config.json"] = {"blobId": "a" * 40}
    with pytest.raises(CheckpointError, match=r"config\.json was damaged in transit"):
        find(REPO)
    assert [path for path in storage(REPO).rglob("*") if path.suffix == ".part"] == []


def test_a_hub_that_tells_no_sums_will_do(hub):
    hub.lies = {name: {"lfs": None, "blobId": None} for name in hub.repos[REPO]}
    folder = find(REPO)
    assert contents(folder) == hub.repos[REPO] and cached(REPO) == folder


@pytest.mark.parametrize("revision", ["../../outside", "/tmp/outside", ".."])
def test_a_revision_of_the_user_s_leaves_no_folder_either(hub, tmp_path, revision):
    with pytest.raises(CheckpointError):
        find(REPO, revision)
    assert not [path for path in tmp_path.rglob("*") if path.name == "outside"]


def test_what_was_fetched_is_where_the_hub_s_client_finds_it(hub):
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    folder = find(REPO)
    hub.asked.clear()
    for name in hub.repos[REPO]:
        assert try_to_load_from_cache(REPO, name) == str(folder / name)
        assert Path(hf_hub_download(REPO, name)) == folder / name
    assert hub.asked == []
