"""Measures llmlocal against llama.cpp's own programs and its peers: ``python -m benchmarks``.

A scenario is a seeded workload; a system does it in a process (and an environment) of its own; the
results are samples in a JSON file, from which the report and the verdict on the bars are made.
Nothing here is installed with the package.
"""

from __future__ import annotations
