"""Where things are: the sources, and what the benchmarks build and write below ``build/bench``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BUILD", "LLAMA_CPP", "LOGS", "RESULTS", "ROOT", "SYNTHETIC", "TOOLS", "VENVS"]

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
LOGS = BUILD / "logs"
RESULTS = BUILD / "results"
SYNTHETIC = BUILD / "models"
VENVS = BUILD / "venvs"

# The same two steps from the sources to the objects as in the package's own build: paths relative
# to the build folder are the same too, so a compiler cache has much of it already.
LLAMA_CPP = BUILD / "third_party" / "llama.cpp"
TOOLS = BUILD / "build" / "tools"
