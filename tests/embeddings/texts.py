"""Texts of every kind, for comparing vectors with those of the reference."""

from __future__ import annotations

__all__ = ["LONG", "PAIRS", "QUERY", "TEXTS"]

_WORDS = [
    "the",
    "river",
    "runs",
    "past",
    "an",
    "old",
    "mill",
    "where",
    "children",
    "used",
    "to",
    "fish",
    "and",
    "the",
    "miller",
    "told",
    "them",
    "stories",
    "about",
    "winters",
    "so",
    "cold",
    "that",
    "the",
    "wheel",
    "froze",
    "and",
    "nobody",
    "had",
    "bread",
    "for",
    "weeks",
]


def _words(count: int) -> str:
    return " ".join(_WORDS[(7 * i + i // 5) % len(_WORDS)] for i in range(count))


LONG = _words(420)
"""More tokens than all-MiniLM-L6-v2 reads of a text."""

TEXTS = [
    "Hello world",
    "",
    "   \n\t  ",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "How do I reset my password? I can't log in to my account!",
    "今天天气很好，我们去公园散步吧。",  # noqa: RUF001
    "東京は日本の首都です。",
    "안녕하세요, 만나서 반갑습니다.",
    "Привет, мир! Как дела?",
    "مرحبا بالعالم",
    "🎉🚀 Party time! 👩‍👩‍👧‍👦",
    "naïve café — Zürich, Ærøskøbing, İstanbul",
    "def f(x: int) -> int:\n    return x ** 2 + 1  # squares\n",
    "SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY name HAVING \"x\" <> 'y';",
    "https://example.org/a/b?c=d&e=f#g user@example.org +1 (555) 123-4567 3.14159 1e-10",
    "ANTIDISESTABLISHMENTARIANISM supercalifragilisticexpialidocious donaudampfschiffahrt",
    "(brackets) and <angles>, {braces}; `ticks` ~ and a back\\slash",
    "x" * 300,
    _words(200),
    LONG,
]

QUERY = "where do children fish"

PAIRS = [
    (QUERY, "the children fish in the river by the mill"),
    (QUERY, "bread was cold for weeks"),
    (QUERY, ""),
    ("", "the wheel"),
    ("who told stories", "the miller told them stories about winters"),
    ("who told stories", "nobody had bread, so the old wheel froze. " * 3),
]
