"""What this installation is and can do, for ``llmlocal doctor`` and for bug reports.

Facts are collected here; printing is the command's.  Nothing is downloaded.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmlocal import __version__, _core
from llmlocal._devices import _runtime
from llmlocal._devices._choice import Device, find_devices
from llmlocal._devices._plugins import Skipped
from llmlocal._threads import default_threads

__all__ = [
    "CpuKernels",
    "Diagnosis",
    "SelfTest",
    "cpu_features",
    "cpu_kernels",
    "diagnose",
    "run_self_test",
    "smallest_model",
]

_SELF_TEST_S = 10.0


@dataclass(frozen=True)
class CpuKernels:
    """Which of the compiled forms of the CPU's kernels is in use, and of which others.

    Attributes:
        library: The file in use; None where one form alone was built, and is linked in.
        weaker: Forms that this CPU could run too, best first.
        unfit: Forms that need instructions which it lacks.
        own: What llmlocal's own kernels in it are compiled for, "AVX-512 VNNI"; empty where it has
            none, or ``LLMLOCAL_KERNELS=0`` switches them off.
    """

    library: Path | None
    weaker: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    own: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The facts.

    Attributes:
        versions: Of llmlocal, Python, the system and the machine.
        cpu_kernels: The CPU kernels in use.
        cpu_features: What those kernels make use of.
        devices: All of them.
        skipped: Backends that are not in use, and why.
        threads: The default number of threads.
        logical_cpus: CPUs that this process may run on.
        folders: Where models and packages are kept.
    """

    versions: dict[str, str]
    cpu_kernels: CpuKernels
    cpu_features: tuple[str, ...]
    devices: tuple[Device, ...]
    skipped: tuple[Skipped, ...]
    threads: int
    logical_cpus: int
    folders: dict[str, str]


@dataclass(frozen=True)
class SelfTest:
    """A short generation.

    Attributes:
        model: What it was made with.
        device: Where.
        load_s: Seconds to load it.
        tokens: Generated tokens.
        tokens_per_s: Speed after the first.
    """

    model: str
    device: str
    load_s: float
    tokens: int
    tokens_per_s: float


def diagnose() -> Diagnosis:
    """Collect the facts; loads all backends.

    Raises:
        DeviceError: The package's own libraries are damaged.
    """
    from llmlocal import models

    skipped = _runtime.start_gpus()
    return Diagnosis(
        versions={
            "llmlocal": __version__,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "system": platform.platform(),
            "machine": platform.machine(),
        },
        cpu_kernels=cpu_kernels(_runtime.cpu_libraries(), _core.own_kernels()),
        cpu_features=cpu_features(_core.system_info()),
        devices=tuple(find_devices(())),
        skipped=skipped,
        threads=default_threads(),
        logical_cpus=_logical_cpus(),
        folders={
            "models": str(models.models_folder()),
            "package": str(Path(__file__).parent),
            "libraries": str(Path(_core.__file__).parent / "lib"),
            "python": sys.executable,
        },
    )


def cpu_kernels(libraries: Sequence[_core.BackendLibrary], own: str = "") -> CpuKernels:
    """What became of these files of CPU kernels, which come best first; `own`: see there."""
    used = next((each for each in libraries if each.is_loaded), None)
    if used is None:
        return CpuKernels(None, own=own)
    others = [each for each in libraries if not each.is_loaded and not each.problem]
    return CpuKernels(
        Path(used.path),
        weaker=tuple(_form(each) for each in others if each.fits),
        unfit=tuple(_form(each) for each in others if not each.fits),
        own=own,
    )


def _form(library: _core.BackendLibrary) -> str:
    """libggml-cpu-haswell.so -> haswell."""
    return Path(library.path).stem.rpartition("ggml-cpu-")[2]


def cpu_features(system_info: str) -> tuple[str, ...]:
    """The names that are on in llama.cpp's line ``CPU : AVX = 1 | AVX2 = 0 | ...``.

    Not KleidiAI's, whose place our own kernels take.
    """
    cpu = re.search(r"CPU : (.*?)(?=\b\w+ : |$)", system_info, re.DOTALL)
    names = re.findall(r"(\w+) = 1\b", cpu[1]) if cpu else []
    return tuple(name for name in names if name != "KLEIDIAI")


def smallest_model() -> str | None:
    """The smallest model on disk that is of any use for a test; None: there is none."""
    from llmlocal import models

    installed = sorted(models.installed(), key=lambda model: model.size_bytes)
    return next((str(model.path) for model in installed), None)


def run_self_test(model: str, *, device: str = "auto") -> SelfTest:
    """Load a model and generate with it for ten seconds at most.

    Raises:
        LLMLocalError: It could not be loaded or run.
    """
    from llmlocal import LLM

    start = time.perf_counter()
    with LLM(model, allow_download=False, device=device, n_ctx=512, progress=False) as llm:
        load_s = time.perf_counter() - start
        left = max(_SELF_TEST_S - load_s, 1.0)
        # A model may have nothing to say to this; the test goes on all the same.
        ends = dict.fromkeys(llm.tokenize(llm.eos_token, add_special=False), -100.0)
        result = llm.generate(
            "Once upon a time", max_tokens=64, temp=0, timeout=left, logit_bias=ends
        )
        per_token = result.timings.per_token
        return SelfTest(
            model=llm.path.name,
            device=llm.device,
            load_s=load_s,
            tokens=result.usage.completion_tokens,
            tokens_per_s=1 / per_token if per_token else 0.0,
        )


def _logical_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
