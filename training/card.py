"""The model card of ``mini``: what it is, how it was trained and on what, and what was measured."""

from __future__ import annotations

import csv
import textwrap
from collections import Counter, defaultdict
from pathlib import Path

from safetensors.numpy import load_file

from training.concepts import KNOWN
from training.evaluate import Figures
from training.export import NOT_BY_DEFAULT
from training.train import MEASURED, STAGES

WIDTH = 120  # characters
TEXT = """---
license: cc-by-sa-4.0
library_name: transformers
pipeline_tag: zero-shot-audio-classification
---

# mini

The checkpoint that ships with `peaudio`: {parameters:.1f} million parameters in the format of Meta's PE Audio
checkpoints, trained in about two hours on two CPU cores. It was made for trying `peaudio` without a network and for
quick scans for the sounds below. It is no substitute for Meta's checkpoints: for any sound that is not in the list, and
for anything that matters, use `-m base` or larger.

## What it knows

{sounds}.

Also `silence` and `white noise`, which are not among the default labels. Other labels get numbers too; `peaudio` warns
of those whose words are far from all that `mini` was trained on.

## How it was made

Everything is in the repository's `training/`; `python -m training WORK --esc10 FOLDER` runs it.

- The codec is a DAC encoder with strides of 12, 2, 2, 2, 5 and 4, whose weights up to 100 Hz were set, not learned:
  a filter bank of 48 bands, and a small network that takes logarithms with Snake activations (99 % of the variance of
  true log energies). A change of level shifts all its values alike, and training saw levels over a range of 50 dB.
- The text tower is two layers of all-MiniLM-L6-v2 (Apache-2.0) with fewer word pieces, distilled from the whole, and
  taught to tell apart the sounds that are known by whatever words: wordings written for it, and WordNet's.
- The audio tower, 3 layers of 192, learned from scenes mixed at random: up to three sounds, filtered, transposed,
  stretched, in rooms, in noise, at any level. It was trained for {steps:,} steps on folds 1 to 3 of ESC-10 and the
  recordings below, then the figures were measured, and then for {more_steps:,} more steps on all four folds.
{history}

## What was measured

On fold 4 of ESC-10 (80 clips), before it was trained on; the rest, from "speech, music, silence" on, with the finished
checkpoint. One core of a shared machine. "Wanted" is what was aimed at; in brackets, what a listener would reach who
hears that there is something, and never what.

{figures}

## What it confuses

The last column of the table says it for ESC-10, the three kinds of recordings that were set aside say it for speech,
music and silence. Beyond these, expect mistakes among instruments, and among engine-like sounds: helicopter, chainsaw,
engine, train, wind.

## What not to use it for

Anything in which a mistake costs something: alarms, safety, medicine, evidence, surveillance. Counting animals or
species: it knows ten or so animals by a handful of recordings each. Whether a label is absent: rare and quiet sounds
are missed. Languages, speakers, words and musical works are beyond it.

## Data and licences

{table}

The weights are offered under CC BY-SA 4.0 as far as we have rights in them; what the licences of the recordings below
ask for weights trained on them is not settled law, so all of them are named. No recording is part of the checkpoint.
ESC-10 (K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", 2015) is a collection under CC BY 3.0 of
recordings from Freesound, some of them CC0, some CC BY, two CC Sampling Plus. The recordings used are by:

{authors}.

| package | version | licence | attribution |
| --- | --- | --- | --- |
{packages}
"""


def write_card(work: Path, folder: Path, figures: Figures, history: str = "") -> None:
    """``README.md`` in the checkpoint's folder, from the figures and from ``WORK``'s manifest and list of licences.

    ``history`` is a sentence on how these very weights came about, where that was not one run.
    """
    sounds = ", ".join(concept.label for concept in KNOWN if concept.id not in NOT_BY_DEFAULT)
    text = TEXT.format(
        parameters=_parameters(folder) / 1e6,
        sounds=textwrap.fill(sounds[0].upper() + sounds[1:], WIDTH),
        steps=sum(stage.steps for stage in STAGES if stage.folds == MEASURED.folds),
        more_steps=sum(stage.steps for stage in STAGES if stage.folds != MEASURED.folds),
        history=textwrap.fill(history, WIDTH, initial_indent="  ", subsequent_indent="  "),
        figures=figures.markdown(),
        table=_recordings(work),
        packages=_packages(work),
        authors=textwrap.fill(", ".join(_authors(work)), WIDTH, break_long_words=False, break_on_hyphens=False),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _parameters(folder: Path) -> int:
    return sum(tensor.size for tensor in load_file(folder / "model.safetensors").values())


def _recordings(work: Path) -> str:
    """How many clips and how many independent sources each concept was trained on."""
    clips: Counter[str] = Counter()
    sources: defaultdict[str, set[str]] = defaultdict(set)
    with open(work / "manifest.csv", newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row["held"] != "1":
                for id in row["concepts"].split(";"):
                    clips[id] += 1
                    sources[id].add(row["group"])
    lines = ["| sound | clips | sources |", "| --- | --- | --- |"]
    lines += [f"| {it.label} | {clips[it.id]} | {len(sources[it.id])} |" for it in KNOWN]
    return "\n".join([*lines, f"| other sounds, as counter-examples | {clips['']} | {len(sources[''])} |"])


def _authors(work: Path) -> list[str]:
    """Whose recordings ESC-10's are."""
    with open(work / "manifest.csv", newline="", encoding="utf-8") as table:
        found = {row["author"].removesuffix(" (Freesound)") for row in csv.DictReader(table) if row["fold"]}
    return sorted(found, key=str.casefold)


def _packages(work: Path) -> str:
    with open(work / "licences.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    return "\n".join(
        f"| {row['package']} | {row['version']} | {row['licence']} | {row['attribution']} |" for row in rows
    )
