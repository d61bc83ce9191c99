"""Start-up: from exec to the first embedding, and a whole ``peaudio tag`` beside importing torch."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import mini, models
from benchmarks.commands import Commands
from benchmarks.contender import Contender, alternate, running
from benchmarks.first_embedding import SECONDS
from benchmarks.lineup import OURS, TRANSFORMERS, TUNED
from benchmarks.options import Options, run_alone
from benchmarks.sound import noise, write_noise
from benchmarks.table import seconds, section, table, times

__all__ = ["measure"]

IMPORT, TAG = '`python -c "import torch"`', "peaudio tag"
LABELS = ["a dog barking", "rain falling"]
WHOSE = {TRANSFORMERS: "transformers", TUNED: "mallopt", OURS: "ours"}


def measure(options: Options) -> str:
    """Two tables."""
    text = (
        f"From exec to exit on {options.cpu}, with all files in the page cache. First a program loads a checkpoint "
        f"({options.width}) and embeds {SECONDS:g} s of audio; then `peaudio tag` on as much, labels cached, beside "
        "importing torch and the encoder's own time on that audio in a warm process; the last column is what is left "
        "of the command without the encoder, in units of importing torch."
    )
    folders = {options.width: options.folder, **({"mini": mini.MINI} if mini.MINI.is_dir() else {})}
    with tempfile.TemporaryDirectory(prefix="peaudio-startup-") as work:
        commands = Commands(Path(work), options)
        parts = [_first_embedding(commands, options), _tag(folders, commands, options)]
    return section("Start-up", text, *parts)


def _first_embedding(commands: Commands, options: Options) -> str:
    programs = [
        commands.python(name, "-m", "benchmarks.first_embedding", whose, options.folder)
        for name, whose in WHOSE.items()
    ]
    alternate(programs, None, 1)  # files into the page cache
    measured = alternate(programs, None, options.rounds)
    baseline, tuned = measured[TRANSFORMERS].median, measured[TUNED].median
    rows = [
        [name, seconds(each), times(baseline, each.median), times(tuned, each.median)]
        for name, each in measured.items()
    ]
    return table(["first embedding", "seconds", "times transformers", "times transformers with mallopt"], rows)


def _tag(folders: dict[str, Path], commands: Commands, options: Options) -> str:
    clip = write_noise(commands.work / "clip.wav", SECONDS)
    tags = {name: commands.tag(f"{TAG}, {name}", folder, clip, LABELS) for name, folder in folders.items()}
    programs = [commands.python(IMPORT, "-c", "import torch"), *tags.values()]
    alternate(programs, None, 1)  # labels into their cache
    measured = alternate(programs, None, options.rounds)
    bare = measured[IMPORT].median
    rows = [[IMPORT, seconds(measured[IMPORT]), "", "1.00"]]
    for name, folder in folders.items():
        command, own = measured[tags[name].name], _encoders_own_time(folder, options)
        rows.append([tags[name].name, seconds(command), f"{own:.3g}", times(command.median - own, bare)])
    return table(["", "seconds", "of which the encoder", "the rest, times importing torch"], rows)


def _encoders_own_time(folder: Path, options: Options) -> float:
    """Seconds for the clip once everything is loaded and has run."""
    contender = Contender(OURS, models.our_encoder, {"folder": folder}, keeps_blocks=True)
    with running([contender], options.threads) as children:
        alternate(children, noise(SECONDS), 1)
        return alternate(children, noise(SECONDS), options.rounds)[OURS].median


if __name__ == "__main__":
    run_alone(measure, "startup", __doc__)
