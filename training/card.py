"""The model card of ``mini``: how well it does on strangers' recordings, how it was trained and on what."""

from __future__ import annotations

import csv
import textwrap
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors.numpy import load_file

from training.concepts import FIRST, KNOWN
from training.evaluate import Figures
from training.features import NOBODY_KNOWS, kept_back

WIDTH = 120  # characters
NONE_NEW = """120 more sounds were taught. None of them met the bar that training/choose.py sets (recordings of three
origins that were kept from training, an AUROC of 0.9, an average precision of a half), so none of them is a default
label, and `peaudio` warns of their words."""

WANTED = {
    "top-1": "0.60",
    "top-1, macro": "0.55",
    "top-5": "0.88",
    "a wrong label above 0.5": "0.10",
    "the right label above 0.3": "0.50",
    "unknown sounds with anything above 0.5": "0.15",
    "backgrounds with anything above 0.5": "0.10",
    "same first label, 20 dB quieter": "0.92",
    "same first label, at 8 kHz": "0.75",
    "same first label, as MP3 of 32 kbit/s": "0.88",
    "event F1, labels of the scene": "0.25",
    "segment F1, labels of the scene": "0.55",
    "events printed for each true one, labels of the scene": "at most 1.5",
    "events printed for each true one, all labels": "at most 2",
    "frame AUROC among active frames": "0.90",
}


def write_card(
    work: Path,
    folder: Path,
    strangers: Mapping[str, float],
    before: Mapping[str, float],
    sounds: Sequence[tuple[str, int, float, float, str]],
    figures: Figures,
) -> None:
    """``README.md`` in the checkpoint's folder.

    ``strangers`` are the figures on recordings by strangers, ``before`` those of the version before, ``sounds`` the
    former sound by sound; ``figures`` are all others.
    """
    labels = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    text = (Path(__file__).parent / "card.md").read_text(encoding="utf-8")
    values = {
        "parameters": f"{sum(tensor.size for tensor in load_file(folder / 'model.safetensors').values()) / 1e6:.1f}",
        "n_labels": str(len(labels)),
        "new": _new(labels[len(FIRST) :]),
        "strangers": _strangers(strangers, before),
        "sounds": _sounds(sounds),
        "figures": figures.markdown(),
        "table": _recordings(work),
        "packages": _packages(work),
        "repositories": _repositories(work),
        "authors": textwrap.fill(", ".join(_authors(work)), WIDTH, break_long_words=False, break_on_hyphens=False),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _new(labels: Sequence[str]) -> str:
    """The labels that the first version had not."""
    if not labels:
        return textwrap.fill(NONE_NEW, WIDTH)
    return textwrap.fill(f"New, each of which met the bar of training/choose.py: {', '.join(labels)}.", WIDTH)


def _strangers(figures: Mapping[str, float], before: Mapping[str, float]) -> str:
    lines = ["| figure | mini 3 | mini 4 | wanted |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {before[name]:.2f} | {value:.2f} | {WANTED.get(name, '')} |" for name, value in figures.items()
    ]
    return "\n".join(lines)


def _sounds(rows: Sequence[tuple[str, int, float, float, str]]) -> str:
    lines = ["| sound | recordings | first | above 0.3 | else first |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {label} | {count} | {first:.0%} | {above:.0%} | {taken} |" for label, count, first, above, taken in rows
    ]
    return "\n".join(lines)


def _rows(work: Path) -> list[dict[str, str]]:
    with open(work / "manifest.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    there = (work / "heard").resolve()
    return [row for row in rows if (there / Path(row["clip"]).relative_to("clips").with_suffix(".npz")).is_file()]


def _recordings(work: Path) -> str:
    """The numbers of clips and of independent sources that somebody has labelled with each concept."""
    clips: Counter[str] = Counter()
    sources: defaultdict[str, set[str]] = defaultdict(set)
    for row in _rows(work):
        if row["held"] != "1" and not kept_back(row["group"], row["fold"]):
            for id in row["concepts"].split(";"):
                clips[id or NOBODY_KNOWS] += 1
                sources[id or NOBODY_KNOWS].add(row["group"])
    lines = ["| sound | clips | sources |", "| --- | --- | --- |"]
    lines += [f"| {it.label} | {clips[it.id]} | {len(sources[it.id])} |" for it in KNOWN if clips[it.id]]
    return "\n".join([*lines, f"| unlabelled | {clips[NOBODY_KNOWS]} | {len(sources[NOBODY_KNOWS])} |"])


def _authors(work: Path) -> list[str]:
    """Whose recordings ESC-10's are."""
    found = {row["author"].removesuffix(" (Freesound)") for row in _rows(work) if row["fold"]}
    return sorted(found, key=str.casefold)


def _repositories(work: Path) -> str:
    rows = (row for row in _rows(work) if "/" in row["package"] and not row["package"].startswith("@"))  # npm's
    found = {row["package"]: row["licence"] for row in rows}
    lines = ["| repository | licence |", "| --- | --- |"]
    return "\n".join(lines + [f"| github.com/{name} | {licence} |" for name, licence in sorted(found.items())])


def _packages(work: Path) -> str:
    with open(work / "licences.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    lines = ["| package | version | licence | attribution |", "| --- | --- | --- | --- |"]
    lines += [f"| {row['package']} | {row['version']} | {row['licence']} | {row['attribution']} |" for row in rows]
    return "\n".join(lines)
