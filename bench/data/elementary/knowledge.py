"""Read the facts beside this module and assign every entity to a split.

A fact file holds topics. A topic has *entities* (a name and its attributes) and *relations*
(what may be asked about an attribute, in at least four wordings).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

_SPLIT_PATTERN = ("train", "validation", "train", "test", "train")


@dataclass(frozen=True, kw_only=True)
class Entity:
    """Something questions are asked about, with what is known of it."""

    name: str
    values: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, float]

    def may_be(self, attribute: str) -> tuple[str, ...]:
        """Return the values that are true of the entity, or too disputable to call wrong."""
        return self.values.get(attribute, ()) + self.values.get(f"maybe_{attribute}", ())


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One way of asking about an attribute.

    `lures` names attributes whose values are wrong here although they fit the subject; they are
    taken as distractors first. With `apart`, other distractors come only from entities that
    differ from the subject in that attribute. `ratio` is the least factor between two numbers
    that a question compares. A relation gives `share` questions whenever one of share 1 gives one.
    """

    name: str
    topic: str
    kind: str
    attribute: str
    phrasings: tuple[str, ...]
    lures: tuple[str, ...]
    lure_count: int
    share: int
    apart: str | None
    ratio: float


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """All entities by topic and name, and all relations."""

    entities: Mapping[str, Mapping[str, Entity]]
    relations: tuple[Relation, ...]


def digest(text: str) -> int:
    """Return a large number that depends on the text alone, in every process."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


def bare(name: str) -> str:
    """Drop the article, so that "an ant" and "ant" are one entity."""
    article, _, rest = name.partition(" ")
    return rest if article in ("a", "an", "the") else name


def _kin(entity: Entity) -> str:
    return entity.values.get("kin", (bare(entity.name),))[0]


def _entity(name: str, facts: Mapping[str, Any]) -> Entity:
    values: dict[str, tuple[str, ...]] = {}
    numbers: dict[str, float] = {}
    for attribute, value in facts.items():
        if isinstance(value, int | float):
            numbers[attribute] = float(value)
        else:
            values[attribute] = (value,) if isinstance(value, str) else tuple(value)
    return Entity(name=name, values=values, numbers=numbers)


def _relation(name: str, topic: str, facts: Mapping[str, Any]) -> Relation:
    return Relation(
        name=name,
        topic=topic,
        kind=facts["kind"],
        attribute=facts["attribute"],
        phrasings=tuple(facts["phrasings"]),
        lures=tuple(facts.get("lures", ())),
        lure_count=int(facts.get("lure_count", 3)),
        share=int(facts.get("share", 1)),
        apart=facts.get("apart"),
        ratio=float(facts.get("ratio", 1.0)),
    )


def load_knowledge() -> Knowledge:
    """Read every fact file, in the order of the file names."""
    entities: dict[str, dict[str, Entity]] = {}
    relations: list[Relation] = []
    folder = resources.files(__package__).joinpath("facts")
    files = [file for file in folder.iterdir() if file.name.endswith(".yaml")]
    for file in sorted(files, key=lambda file: file.name):
        topics = yaml.safe_load(file.read_text(encoding="utf-8"))
        for topic, facts in topics.items():
            entities[topic] = {name: _entity(name, row) for name, row in facts["entities"].items()}
            relations += [_relation(name, topic, row) for name, row in facts["relations"].items()]
    return Knowledge(entities=entities, relations=tuple(relations))


def split_entities(knowledge: Knowledge, seed: int) -> dict[str, str]:
    """Return the split of every entity, by its name without article.

    The draw goes by digest and is balanced within categories. Entities whose `kin` is the same
    word (two opposites, say) count as one. A name that occurs in several topics keeps the split
    of the first.
    """
    splits: dict[str, str] = {}
    for topic, entities in knowledge.entities.items():
        groups: dict[str, str] = {}
        for entity in entities.values():
            groups.setdefault(_kin(entity), entity.values.get("group", ("",))[0])
        fresh = [kin for kin in groups if kin not in splits]
        order = sorted(fresh, key=lambda kin: (groups[kin], digest(f"{seed}:{kin}")))
        start = digest(f"{seed}:{topic}") % len(_SPLIT_PATTERN)
        for index, kin in enumerate(order):
            splits[kin] = _SPLIT_PATTERN[(start + index) % len(_SPLIT_PATTERN)]
    everything = [
        entity for entities in knowledge.entities.values() for entity in entities.values()
    ]
    return {bare(entity.name): splits[_kin(entity)] for entity in everything}
