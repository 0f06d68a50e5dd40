"""Turn facts into four-choice questions whose entities all belong to the split of the question."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.data.elementary.knowledge import (
    Entity,
    Knowledge,
    Relation,
    bare,
    digest,
    load_knowledge,
    split_entities,
)

T = TypeVar("T")

SPLIT_SIZES: Mapping[str, int] = {"train": 2400, "validation": 500, "test": 500}
LABELS = ("A", "B", "C", "D")
# A subject is offered to its relations this often at most; most draws of a round succeed.
ROUNDS = 6


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question with the knowledge it came from; `answer` is an index into `choices`.

    `asked` is the value or the entity that the wording names beside the subject, if any.
    """

    relation: Relation
    subject: str
    asked: str | None
    question: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A question before its wording and the order of its choices are drawn."""

    right: str
    wrong: Sequence[str]
    asked: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """The entities of one split that a relation can ask about, and names of other splits."""

    entities: Sequence[Entity]
    foreign: frozenset[str]


def _shuffled(rng: random.Random, values: Sequence[T]) -> list[T]:
    # Only `Random.random` is promised to give the same numbers in every Python version.
    keys = [rng.random() for _ in values]
    return [values[index] for index in sorted(range(len(values)), key=keys.__getitem__)]


def _pick(rng: random.Random, values: Sequence[T]) -> T:
    return values[int(rng.random() * len(values))]


def _ask_value(
    relation: Relation, subject: Entity, pool: _Pool, rng: random.Random
) -> _Draft | None:
    """Name the subject and ask for a value of it."""
    true = subject.may_be(relation.attribute)
    lures = [value for lure in relation.lures for value in subject.values.get(lure, ())]
    wrong = _shuffled(rng, lures)[: relation.lure_count]
    for other in _shuffled(rng, pool.entities):
        # Drawing an entity, not a value, makes a value as frequent among wrong choices as right.
        value = _pick(rng, other.values[relation.attribute])
        near = relation.apart and other.values[relation.apart] == subject.values[relation.apart]
        if value not in true and not near:
            wrong.append(value)
    return _Draft(right=_pick(rng, subject.values[relation.attribute]), wrong=wrong)


def _ask_contrast(relation: Relation, subject: Entity, pool: _Pool, rng: random.Random) -> _Draft:
    """Name the subject and ask for a value of it among its own lures alone.

    This suits attributes of which nearly everything else is a value too ("not a part of it").
    """
    lures = [value for lure in relation.lures for value in subject.values.get(lure, ())]
    right = _pick(rng, subject.values[relation.attribute])
    return _Draft(right=right, wrong=_shuffled(rng, lures))


def _ask_member(
    relation: Relation, subject: Entity, pool: _Pool, rng: random.Random
) -> _Draft | None:
    """Name a value and ask which entity has it."""
    value = _pick(rng, subject.values[relation.attribute])
    others = [
        other.name for other in pool.entities if value not in other.may_be(relation.attribute)
    ]
    return _Draft(right=subject.name, wrong=_shuffled(rng, others), asked=value)


def _ask_outsider(
    relation: Relation, subject: Entity, pool: _Pool, rng: random.Random
) -> _Draft | None:
    """Name a value and ask which entity lacks it."""
    true = subject.may_be(relation.attribute)
    values = [value for other in pool.entities for value in other.values[relation.attribute]]
    for value in _shuffled(rng, [value for value in values if value not in true]):
        if values.count(value) >= len(LABELS) - 1:
            having = [o.name for o in pool.entities if value in o.values[relation.attribute]]
            return _Draft(right=subject.name, wrong=_shuffled(rng, having), asked=value)
    return None


def _ask_extreme(
    relation: Relation, subject: Entity, pool: _Pool, rng: random.Random
) -> _Draft | None:
    """Ask which entity has the greatest or the least number."""
    wrong = [o.name for o in pool.entities if _exceeds(relation, subject, o)]
    return _Draft(right=subject.name, wrong=_shuffled(rng, wrong))


def _ask_beyond(
    relation: Relation, subject: Entity, pool: _Pool, rng: random.Random
) -> _Draft | None:
    """Name one entity and ask which other has a greater, or a lesser, number."""
    for middle in _shuffled(rng, pool.entities):
        wrong = [o.name for o in pool.entities if _exceeds(relation, middle, o)]
        if _exceeds(relation, subject, middle) and len(wrong) >= len(LABELS) - 1:
            return _Draft(right=subject.name, wrong=_shuffled(rng, wrong), asked=middle.name)
    return None


def _exceeds(relation: Relation, one: Entity, other: Entity) -> bool:
    """Say whether `one` lies beyond `other` by the ratio, in the direction of the relation."""
    greater, lesser = one.numbers[relation.attribute], other.numbers[relation.attribute]
    if relation.kind in ("least", "below"):
        greater, lesser = lesser, greater
    return greater > lesser and greater >= relation.ratio * lesser


_ASK: Mapping[str, Callable[[Relation, Entity, _Pool, random.Random], _Draft | None]] = {
    "value": _ask_value,
    "contrast": _ask_contrast,
    "member": _ask_member,
    "outsider": _ask_outsider,
    "most": _ask_extreme,
    "least": _ask_extreme,
    "above": _ask_beyond,
    "below": _ask_beyond,
}


def with_article(name: str) -> str:
    """The name after "a" or "an"."""
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def capitalised(text: str) -> str:
    """The text with a large first letter."""
    return text[0].upper() + text[1:]


def _item(
    relation: Relation, subject: Entity, pool: _Pool, rng: random.Random, answer: int
) -> Item | None:
    draft = _ASK[relation.kind](relation, subject, pool, rng)
    if draft is None or {bare(draft.right), bare(draft.asked or "")} & pool.foreign:
        return None
    wrong = [name for name in dict.fromkeys(draft.wrong) if bare(name) not in pool.foreign]
    if len(wrong) < len(LABELS) - 1:
        return None
    choices = _shuffled(rng, wrong[: len(LABELS) - 1])
    choices.insert(answer, draft.right)
    asked = draft.asked or subject.name
    names = {"name": asked, "a_name": with_article(asked)}
    return Item(
        relation=relation,
        subject=subject.name,
        asked=draft.asked,
        question=capitalised(_pick(rng, relation.phrasings).format(**names)),
        choices=tuple(choices),
        answer=answer,
    )


def _pool(relation: Relation, knowledge: Knowledge, splits: Mapping[str, str], split: str) -> _Pool:
    inside = [
        entity
        for entity in knowledge.entities[relation.topic].values()
        if splits[bare(entity.name)] == split
        and (relation.attribute in entity.values or relation.attribute in entity.numbers)
    ]
    foreign = frozenset(name for name, home in splits.items() if home != split)
    return _Pool(entities=inside, foreign=foreign)


def _candidates(
    knowledge: Knowledge, splits: Mapping[str, str], split: str, rng: random.Random
) -> Iterator[tuple[Relation, Entity, _Pool]]:
    """Yield subjects relation by relation in turn, so that no relation crowds out the others."""
    pools = [(r, _pool(r, knowledge, splits, split)) for r in knowledge.relations]
    for _ in range(ROUNDS):
        queues = [(r, pool, _shuffled(rng, pool.entities)) for r, pool in pools]
        while any(queue for _, _, queue in queues):
            for relation, pool, queue in queues:
                taken, queue[:] = queue[: relation.share], queue[relation.share :]
                yield from ((relation, subject, pool) for subject in taken)


def generate_items(knowledge: Knowledge, split: str, seed: int) -> list[Item]:
    """Return the questions of one split; the letters of the answers are equally frequent."""
    splits = split_entities(knowledge, seed)
    rng = random.Random(digest(f"{seed}:{split}"))
    size = SPLIT_SIZES[split]
    items: list[Item] = []
    seen: set[tuple[str, ...]] = set()
    answers = _shuffled(rng, [index % len(LABELS) for index in range(size)])
    for relation, subject, pool in _candidates(knowledge, splits, split, rng):
        item = _item(relation, subject, pool, rng, answers[len(items)])
        if item is None or (item.question, *sorted(item.choices)) in seen:
            continue
        seen.add((item.question, *sorted(item.choices)))
        items.append(item)
        if len(items) == size:
            return _shuffled(rng, items)
    raise ValueError(f"the facts must give {size} questions for {split}, got {len(items)}")


def _row(item: Item, split: str, number: int) -> dict[str, object]:
    return {
        "id": f"elementary-{split}-{number:04d}",
        "question_stem": item.question,
        "choices": {"text": list(item.choices), "label": list(LABELS)},
        "answerKey": LABELS[item.answer],
    }


def generate(seed: int = 0) -> dict[str, list[dict[str, object]]]:
    """Return the rows of every split, the same ones for the same seed on every machine."""
    knowledge = load_knowledge()
    return {
        split: [
            _row(item, split, number)
            for number, item in enumerate(generate_items(knowledge, split, seed), start=1)
        ]
        for split in SPLIT_SIZES
    }
