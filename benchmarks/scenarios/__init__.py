"""The scenarios by name, in the order in which a report shows them."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.scenarios.arrival import ARRIVAL
from benchmarks.scenarios.chat import CHAT, INTERLEAVE
from benchmarks.scenarios.contended import CONTENDED
from benchmarks.scenarios.download import DOWNLOAD
from benchmarks.scenarios.embed import EMBED
from benchmarks.scenarios.growth import GROWTH
from benchmarks.scenarios.held import HELD
from benchmarks.scenarios.kernels import KERNELS, TYPES
from benchmarks.scenarios.memory import MEMORY
from benchmarks.scenarios.overhead import OVERHEAD
from benchmarks.scenarios.prefixes import DISK, HYBRID, TREE, WRITING
from benchmarks.scenarios.sampling import SAMPLING
from benchmarks.scenarios.scenario import Scenario
from benchmarks.scenarios.serve import SERVE
from benchmarks.scenarios.single import DECODE, PREFILL, STREAM
from benchmarks.scenarios.startup import COLD, IMPORT, LOAD
from benchmarks.scenarios.structured import SCHEMAS, STRUCTURED
from benchmarks.scenarios.together import CONCURRENT, PREFIX

__all__ = ["QUICK", "SCENARIOS"]

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        DECODE,
        STREAM,
        PREFILL,
        CHAT,
        INTERLEAVE,
        CONCURRENT,
        PREFIX,
        ARRIVAL,
        HELD,
        DISK,
        WRITING,
        TREE,
        HYBRID,
        COLD,
        IMPORT,
        LOAD,
        SAMPLING,
        STRUCTURED,
        SCHEMAS,
        OVERHEAD,
        CONTENDED,
        MEMORY,
        KERNELS,
        TYPES,
        DOWNLOAD,
        EMBED,
        SERVE,
        *GROWTH,
    )
}

QUICK = (
    "decode",
    "prefill",
    "concurrent",
    "prefix",
    "arrival",
    "held",
    "contended",
    "sampling",
    "overhead",
    "import",
    "cold",
)
"""What the bars need, in minutes."""
