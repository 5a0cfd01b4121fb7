from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal._generation._partial import partial_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("{", {}),
        ('{"a', {}),
        ('{"a": 1', {}),
        ('{"a": 1,', {"a": 1}),
        ('{"a": tru', {}),
        ('{"a": "x\\', {"a": "x"}),
        ('{"a": "x\\u00e', {"a": "x"}),
        ('{"a": "x\\\\', {"a": "x\\"}),
        ('[1, [2, {"b": "', [1, [2, {"b": ""}]]),
        ('{"a": [}', None),
        ('"abc', "abc"),
        ("12", None),
    ],
)
def test_what_has_come(text: str, value: object) -> None:
    assert partial_json(text) == value


@given(VALUES, st.booleans())
def test_it_grows_to_the_value(value: Any, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    for end in range(len(text)):
        assert begins(partial_json(text[:end]), value)
    if isinstance(value, (dict, list, str)):
        assert partial_json(text) == value


def begins(part: Any, whole: Any) -> bool:
    """Whether one is what the other is before all of it has come."""
    if part is None:
        return True
    if isinstance(part, str) and isinstance(whole, str):
        # An escaped character beyond U+FFFF may have come by half.
        return whole.startswith((part, part[:-1]))
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(begins, part, whole))
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and begins(each, whole[key]) for key, each in part.items())
    return type(part) is type(whole) and part == whole
