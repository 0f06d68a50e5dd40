"""Sentences to be sorted by what they ask: the questions without choices, each in a new wording."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bench.data.elementary.generate import Item, capitalised, generate_items, with_article
from bench.data.elementary.knowledge import digest, load_knowledge

LABELS: Mapping[str, str] = {
    "value": "property",
    "contrast": "exception of one",
    "member": "which has it",
    "outsider": "which lacks it",
    "most": "which goes further",
    "least": "which goes further",
    "above": "which goes further",
    "below": "which goes further",
}
"""Label by kind of relation."""

MOST: Mapping[str, int] = {"train": 400, "validation": 100, "test": 100}
"""Sentences of one label: the most frequent one would else be more than half of all."""

LAST: Mapping[str, int] = {"validation": -2, "test": -1}
"""Which wording of a relation is a split's own; the others are for training."""


def generate_kinds(seed: int = 0) -> dict[str, list[dict[str, object]]]:
    """The rows of every split, the same ones for the same seed on every machine.

    Neither an entity nor a wording that is asked in one split stands in another.
    """
    knowledge = load_knowledge()
    return {
        split: list(_rows(generate_items(knowledge, split, seed), split, seed)) for split in MOST
    }


def _rows(items: Sequence[Item], split: str, seed: int) -> Iterator[dict[str, object]]:
    generator = random.Random(digest(f"kinds:{seed}:{split}"))
    seen: set[str] = set()
    counts = Counter[str]()
    for item in items:
        wordings = _wordings(item.relation.phrasings, split)
        wording = wordings[int(generator.random() * len(wordings))]
        asked = item.asked or item.subject
        text = capitalised(wording.format(name=asked, a_name=with_article(asked)))
        label = LABELS[item.relation.kind]
        if text not in seen and counts[label] < MOST[split]:
            seen.add(text)
            counts[label] += 1
            yield {"text": text, "label": label}


def _wordings(phrasings: Sequence[str], split: str) -> Sequence[str]:
    """Those of a split: the last two are for validation and test, for training the others."""
    return [phrasings[LAST[split]]] if split in LAST else phrasings[: min(LAST.values())]
