"""Seeded texts, prompts and conversations: the same for every system, new for every round.

New, so that nothing is reused from an earlier round but where reuse is what is measured.
"""

from __future__ import annotations

import random

__all__ = ["WORDS", "counting", "questions", "text", "turns"]


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_NOUNS = _split(
    "river mountain garden window letter machine teacher market island bridge forest engine "
    "picture lantern doctor harbor kitchen library captain morning winter science history music "
    "village farmer castle valley station journey painter answer question story office number"
)
_VERBS = _split(
    "crosses follows watches builds remembers describes repairs carries finds opens studies "
    "measures visits leaves changes protects explains surrounds supports reaches"
)
_ADJECTIVES = _split(
    "old quiet bright small heavy distant careful simple green famous narrow warm early modern "
    "broken gentle wooden public hidden patient"
)
_PLACES = _split("near behind above beside beyond under through across toward around")

WORDS = (*_NOUNS, *_VERBS, *_ADJECTIVES, *_PLACES, "the", "a", "and", "while")
"""All words that a text is made of, so that a made-up vocabulary can hold them."""


def text(words: int, seed: object) -> str:
    """Sentences of exactly so many words, that mean little but read as a language model expects.

    Args:
        words: Words, >= 1.
        seed: Anything; another one gives another text from its first words on.
    """
    source = random.Random(repr(seed))
    sentences: list[str] = []
    left = words
    while left > 0:
        sentence = _sentence(source)[:left]
        left -= len(sentence)
        sentences.append(" ".join(sentence).capitalize() + ".")
    return " ".join(sentences)


def counting(start: int) -> str:
    """A prompt that a model goes on with for as long as it is let: greedy answers don't end early."""
    return ", ".join(str(start + step) for step in range(4)) + ","


def questions(count: int, shared: str) -> list[str]:
    """Prompts that share a text and differ after it."""
    return [f"{shared}\n\nCount on: {counting(10 * number + 11)}" for number in range(count)]


def turns(count: int, words: int, seed: object) -> list[str]:
    """What a user says in a conversation: each turn brings a text of its own and asks for little."""
    return [
        f"{text(words, (seed, number))} Repeat one word of this text." for number in range(count)
    ]


def _sentence(source: random.Random) -> list[str]:
    def thing() -> list[str]:
        return [source.choice(("the", "a")), source.choice(_ADJECTIVES), source.choice(_NOUNS)]

    words = [*thing(), source.choice(_VERBS), *thing(), source.choice(_PLACES), *thing()]
    if source.random() < 0.4:
        words += [source.choice(("and", "while")), *thing(), source.choice(_VERBS), *thing()]
    return words
