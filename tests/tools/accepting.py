"""What a grammar takes, asked of llguidance itself with bytes for tokens: no model needed."""

from __future__ import annotations

import llguidance

__all__ = ["accepts", "kind_of", "problem_of"]

_BYTES = llguidance.LLTokenizer("byte")


def problem_of(grammar: str) -> str:
    """What is wrong with a grammar; empty if nothing is."""
    return str(llguidance.LLMatcher(_BYTES, grammar).get_error())


def accepts(grammar: str, text: str) -> bool:
    """Whether a whole answer may be this text."""
    matcher = llguidance.LLMatcher(_BYTES, grammar)
    tokens = _BYTES.tokenize_str(text)
    taken = matcher.validate_tokens(tokens)
    for token in tokens[:taken]:
        matcher.consume_token(token)
    return bool(taken == len(tokens) and matcher.is_accepting())


def kind_of(grammar: str, call: str) -> str:
    """Which choice a grammar stands for, where ``call`` is one that is allowed."""
    return {(True, True): "auto", (True, False): "none", (False, True): "required"}[
        accepts(grammar, "Hello."), accepts(grammar, call)
    ]
