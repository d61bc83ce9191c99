"""WordNet's files with made-up meanings for the words that the concepts' senses name."""

from __future__ import annotations

from pathlib import Path

from training.wordnet import PARTS_OF_SPEECH, SENSES


def write_tiny_wordnet(folder: Path) -> None:
    """Every word has as many meanings as the senses ask for; each meaning has one kind, with a word of its own."""
    folder.mkdir()
    counts: dict[tuple[str, str], int] = {}
    for sense in " ".join(SENSES.values()).split():
        word, part, number = sense.split(".")
        counts[word, part] = max(counts.get((word, part), 0), int(number))
    for part, name in PARTS_OF_SPEECH.items():
        data, index, offset = ["  1 licence\n"], ["  1 licence\n"], 0
        for (word, _), count in sorted(it for it in counts.items() if it[0][1] == part):
            offsets = [f"{offset + 2 * meaning:08}" for meaning in range(count)]
            for meaning, own in enumerate(offsets, 1):
                kind = f"{int(own) + 1:08}"
                gloss = f'{name} {meaning} of {word} (as they go); "an example of {word} {meaning}"'
                data.append(f"{own} 00 {part} 01 {word} 0 001 ~ {kind} {part} 0000 | {gloss}  \n")
                data.append(f"{kind} 00 {part} 01 odd_{word}_{meaning} 0 000 | kind of {name} {meaning} of {word}  \n")
                index.append(f"odd_{word}_{meaning} {part} 1 0 1 0 {kind}  \n")
            index.append(f"{word} {part} {count} 1 ~ {count} 0 {' '.join(offsets)}  \n")
            offset += 2 * count
        (folder / f"data.{name}").write_text("".join(data))
        (folder / f"index.{name}").write_text("".join(index))
