"""What is made of a model's raw vectors: shorter ones, of length 1, in fewer bytes; and comparing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Vectors = npt.NDArray[Any]

__all__ = ["DTYPES", "VectorType", "average", "columns", "finish", "similarity", "unit"]

VectorType = Literal["float32", "float16", "int8", "binary"]
"""How vectors are kept: 4, 2 or 1 bytes a number, or one bit."""

DTYPES = {"float32": "float32", "float16": "float16", "int8": "int8", "binary": "uint8"}
"""numpy's type for each."""


def columns(dimensions: int, dtype: VectorType) -> int:
    """How many array elements hold a vector."""
    return (dimensions + 7) // 8 if dtype == "binary" else dimensions


def unit(vectors: Floats) -> Floats:
    """The vectors with length 1; one that is zero stays so."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def average(vectors: Floats, parts: Sequence[Sequence[int]]) -> Floats:
    """One vector for each text that was read in parts.

    Args:
        vectors: Those of all parts of all texts, in order.
        parts: For each text, how many tokens its parts have.
    """
    import numpy as np

    if all(len(each) == 1 for each in parts):
        return vectors
    texts = []
    begin = 0
    for weights in parts:
        own = vectors[begin : begin + len(weights)]
        begin += len(weights)
        # The direction is what counts, and a longer part says more about the text.
        texts.append(own[0] if len(own) == 1 else np.average(unit(own), axis=0, weights=weights))
    return np.asarray(texts, np.float32)


def finish(
    vectors: Floats,
    *,
    dimensions: int | None,
    normalize: bool,
    layer_norm: bool,
    dtype: VectorType,
) -> Vectors:
    """What the caller gets for raw vectors.

    Args:
        vectors: One in each row.
        dimensions: Keep so many of the first numbers (Matryoshka); None = all.
        normalize: Scale to length 1.
        layer_norm: The model wants its vectors normalized by mean and deviation before a cut.
        dtype: ``"int8"``: each vector scaled so that its largest number is 127; ``"binary"``: one
            bit for each number, set where it is positive, eight in a byte.
    """
    import numpy as np

    if dimensions is not None and dimensions < vectors.shape[-1]:
        if layer_norm:
            vectors = vectors - vectors.mean(axis=-1, keepdims=True)
            vectors = vectors / np.sqrt(vectors.var(axis=-1, keepdims=True) + 1e-5)
        vectors = vectors[..., :dimensions]
    if normalize:
        vectors = unit(vectors)
    if dtype == "int8":
        largest = np.abs(vectors).max(axis=-1, keepdims=True, initial=0)
        scale = 127 / np.maximum(largest, np.finfo(np.float32).tiny)
        numbers: Vectors = np.rint(vectors * scale).astype(np.int8)
        return numbers
    if dtype == "binary":
        return np.packbits(vectors > 0, axis=-1)
    return vectors.astype(dtype)


def numbers_of(given: object) -> Vectors:
    """An array, or what lists hold, as an array.

    Raises:
        ParameterError: These are no numbers, or not as many in each row.
    """
    import numpy as np

    if isinstance(given, (list, tuple)) or hasattr(given, "__array__"):
        try:
            array: Vectors = np.asarray(given)
        except (ValueError, TypeError, OverflowError, RecursionError):
            pass
        else:
            if array.dtype.kind in "biuf":
                return array
    raise ParameterError(f"vectors must be arrays of numbers, got {quote(given)}")


def similarity(first: Vectors, second: Vectors) -> Floats:
    """The cosines between all vectors of the one and all of the other, -1 to 1.

    Vectors of bits (uint8) are compared by the share of bits that agree, in the same range.

    Raises:
        ParameterError: They are of different length or kind, or no vectors.
    """
    import numpy as np

    one, other = np.asarray(first), np.asarray(second)
    if min(one.ndim, other.ndim) < 1 or max(one.ndim, other.ndim) > 2:
        raise ParameterError("vectors come as arrays of one or two dimensions")
    if one.shape[-1] != other.shape[-1] or (one.dtype == np.uint8) != (other.dtype == np.uint8):
        raise ParameterError(
            f"vectors of shape {one.shape} ({one.dtype}) can't be compared with {other.shape}"
            f" ({other.dtype})"
        )
    if one.dtype == np.uint8:
        one, other = (
            1 - 2 * np.unpackbits(each, axis=-1).astype(np.float32) for each in (one, other)
        )
    cosines = unit(one.astype(np.float32)) @ unit(other.astype(np.float32)).T
    # By rounding a vector is a little more than equal to itself, which is no cosine.
    result: Floats = np.clip(cosines, -1, 1)
    return result
