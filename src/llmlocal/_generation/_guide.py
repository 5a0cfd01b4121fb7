"""Compiles what answers must obey, for one model: llguidance, its vocabulary, and what is compiled.

llguidance is reached through the C functions that its wheel exports.  It is looked for when the
first constraint is asked for, so that without it everything else works.
"""

from __future__ import annotations

import importlib.util
import threading
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from llmlocal import _core
from llmlocal._generation._constraint import Constraint
from llmlocal._generation._weaken import checked_afterwards
from llmlocal.errors import ConstraintError, EngineClosedError, EngineError

__all__ = ["Guide"]

_MOST_COMPILED = 64
_MOST_REASON = 1_000  # Characters.
_NEEDS = "schema=, regex=, choices= and grammar= need the package llguidance"


@lru_cache(maxsize=1)
def _library() -> _core.GuidanceLibrary:
    found = importlib.util.find_spec("llguidance")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for suffix in ("so", "pyd", "dylib"):
            for path in sorted(Path(folder).glob(f"_lib*.{suffix}")):
                try:
                    return _core.GuidanceLibrary(str(path))
                except ConstraintError as exc:
                    raise ConstraintError(
                        f"{_NEEDS} of a version that fits: {exc}; pip install -U llmlocal"
                    ) from exc
    raise ConstraintError(f"{_NEEDS}, and it is not installed; pip install llguidance")


class Guide:
    """Gives constraints their compiled form for one vocabulary.  Any number of threads.

    Args:
        tokenizer: Whose vocabulary it is.  It is prepared once, on a thread of its own, for 0.1 s
            with 49,000 tokens and 0.9 s with 262,000; whoever compiles waits for it.
    """

    def __init__(self, tokenizer: _core.Tokenizer) -> None:
        self._tokenizer: _core.Tokenizer | None = tokenizer
        self._lock = threading.Lock()  # Guards the next two.
        self._vocabulary: _core.Vocabulary | None = None
        self._compiled: OrderedDict[tuple[str, str], _core.Grammar] = OrderedDict()

    def expect(self) -> None:
        """Begin to prepare the vocabulary, for constraints that are to come.

        What stands in their way is said by :meth:`compile`, to those that have one.
        """
        with suppress(ConstraintError, EngineError):
            self._vocabulary_once()

    def compile(self, constraint: Constraint) -> tuple[_core.Grammar, Constraint]:
        """The grammar that gives each answer its mask, and the constraint as it can be kept.

        They differ where what can't be enforced is checked afterwards.

        Raises:
            ConstraintError: It is wrong, too large, or can't be enforced; says why.
            EngineError: The model was closed, or this is a forked child, which has not its threads.
        """
        vocabulary = self._vocabulary_once()
        try:
            constraint.text.encode()
        except UnicodeEncodeError as exc:
            raise ConstraintError(f"{constraint.option} is no Unicode text: {exc.reason}") from None
        try:
            return self._compile(vocabulary, constraint), constraint
        except ConstraintError as exc:
            if constraint.schema is None:
                # It may quote all of a grammar.
                reason = str(exc).replace("<non-verbose/>", "").strip()[:_MOST_REASON]
                raise ConstraintError(f"{constraint.option}: {reason}") from None
            kept = checked_afterwards(constraint, lambda text: self._is_fine(vocabulary, text), exc)
            return self._compile(vocabulary, kept), kept

    def _is_fine(self, vocabulary: _core.Vocabulary, text: str) -> bool:
        try:
            _core.Grammar(vocabulary, "json", text)
        except ConstraintError:
            return False
        return True

    def _compile(self, vocabulary: _core.Vocabulary, constraint: Constraint) -> _core.Grammar:
        key = constraint.kind, constraint.text
        with self._lock:
            grammar = self._compiled.get(key)
            if grammar is not None:
                self._compiled.move_to_end(key)
                return grammar
        grammar = _core.Grammar(vocabulary, *key)
        with self._lock:
            self._compiled[key] = grammar
            while len(self._compiled) > _MOST_COMPILED:
                self._compiled.popitem(last=False)
        return grammar

    def _vocabulary_once(self) -> _core.Vocabulary:
        library = _library()
        with self._lock:
            if self._tokenizer is None:
                raise EngineClosedError("the model was closed")
            if self._vocabulary is None:
                self._vocabulary = _core.Vocabulary(library, self._tokenizer)
            return self._vocabulary

    def close(self) -> None:
        """Let go of the model.  May be called twice."""
        with self._lock:
            self._tokenizer = self._vocabulary = None
            self._compiled.clear()
