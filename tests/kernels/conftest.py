"""Each build of ggml-cpu that this CPU can run, and that has our kernels."""

from __future__ import annotations

import pytest

from .ggml import Ggml, variant, variants


@pytest.fixture(scope="module", params=variants())
def ggml(request: pytest.FixtureRequest) -> Ggml:
    found = variant(request.param)
    if found.kernels() is None:
        pytest.skip("built without our kernels")
    return found
