"""The command line: get systems, run scenarios, report."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import environments, llama_tools
from benchmarks.environments import EnvironmentFailedError
from benchmarks.folders import RESULTS, SYNTHETIC
from benchmarks.llama_tools import ToolsFailedError
from benchmarks.systems import ALL, SystemMissingError, command

__all__ = ["main"]

_EPILOG = """\
examples:
  python -m benchmarks get llama-bench llama-cpp-python    make what the quick run compares with
  python -m benchmarks run --quick                         the bars, in minutes
  python -m benchmarks run                                 everything, with all that was made
  python -m benchmarks run decode chat --model FILE.gguf --threads 4 --compare OLD.json
  python -m benchmarks report NEW.json --compare OLD.json
"""
_DEFAULT_MODEL = "smollm2-135m-instruct"
_QUICK_SYSTEMS = ("llmlocal", "llama-bench", "llama-cpp-python")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.work(options)
    except (EnvironmentFailedError, ToolsFailedError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    from benchmarks.scenarios import SCENARIOS

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure llmlocal against llama.cpp's own programs and its peers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    show = commands.add_parser("list", help="show scenarios and systems")
    show.set_defaults(work=_list)

    get = commands.add_parser("get", help="install or build systems to compare with")
    get.add_argument("systems", nargs="+", choices=ALL[1:], metavar="SYSTEM", help=", ".join(ALL))
    get.set_defaults(work=_get)

    run = commands.add_parser("run", help="measure")
    run.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    run.add_argument("--quick", action="store_true", help="what the bars need, in minutes")
    run.add_argument("--model", default=_DEFAULT_MODEL, help="a GGUF file, or a name of llmlocal's")
    run.add_argument("--threads", type=int, help="of every system (default: the physical cores)")
    run.add_argument("--systems", help="comma-separated (default: all that are there)")
    run.add_argument("--rounds", type=int, help="samples of each figure (default: by scenario)")
    run.add_argument("--output", type=Path, help=f"JSON file (default: a new one in {RESULTS})")
    run.add_argument("--compare", type=Path, metavar="OLD.json", help="show what has changed")
    run.set_defaults(work=_run)

    report = commands.add_parser("report", help="results as Markdown")
    report.add_argument("results", nargs="+", type=Path, metavar="RESULTS.json")
    report.add_argument("--into", type=Path, metavar="FILE.md", help="between the marks of a page")
    report.add_argument("--compare", type=Path, metavar="OLD.json", help="show what has changed")
    report.set_defaults(work=_report)

    plot = commands.add_parser("plot", help="results as pictures, one a scenario")
    plot.add_argument("results", nargs="+", type=Path, metavar="RESULTS.json")
    plot.add_argument("--folder", type=Path, default=Path(), help="for the pictures (default: .)")
    plot.set_defaults(work=_plot)

    model = commands.add_parser("model", help="write a model with seeded random weights")
    model.add_argument(
        "shape", help="135m, 1b, moe, tiny, or layers,width,inner,heads,kv_heads,vocab"
    )
    model.add_argument("--type", default="Q4_0", help="of its weights (default: %(default)s)")
    model.add_argument("--output", type=Path, help=f"GGUF file (default: one in {SYNTHETIC})")
    model.set_defaults(work=_model)
    return parser


def _list(options: argparse.Namespace) -> int:
    from benchmarks.scenarios import QUICK, SCENARIOS

    del options
    for scenario in SCENARIOS.values():
        print(f"{scenario.name:12} {'*' if scenario.name in QUICK else ' '} {scenario.about}")
    print("* part of --quick\n")
    for system in ALL:
        try:
            command(system)
            print(f"{system:18} ready")
        except SystemMissingError as error:
            print(f"{system:18} {error}")
    return 0


def _get(options: argparse.Namespace) -> int:
    for system in options.systems:
        print(f"{system} ...", flush=True)
        if system in environments.PEERS:
            environments.make(environments.PEERS[system])
        else:
            llama_tools.build(llama_tools.TOOLS_OF[system])
    return 0


def _run(options: argparse.Namespace) -> int:
    from benchmarks.report import render
    from benchmarks.results import load
    from benchmarks.run import run
    from benchmarks.scenarios import QUICK, SCENARIOS

    names = options.scenarios or (QUICK if options.quick else tuple(SCENARIOS))
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise ValueError(f"there is no scenario {unknown[0]!r}; there are {', '.join(SCENARIOS)}")
    old = load(options.compare) if options.compare else None
    start = time.monotonic()
    output = options.output or RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    try:
        results = run(
            [SCENARIOS[name] for name in names],
            model=_find_model(options.model),
            n_threads=options.threads or _physical_cores(),
            systems=_chosen_systems(options),
            is_quick=options.quick,
            rounds=options.rounds,
            output=output,
            say=lambda text: print(f"{time.monotonic() - start:6.0f} s  {text}", file=sys.stderr),
        )
    except KeyboardInterrupt:
        if output.exists():
            print(f"interrupted; what was measured is in {output}", file=sys.stderr)
        raise
    print(render([results]))
    if old is not None:
        from benchmarks.compare import render_changes

        print(render_changes(old, results))
    print(f"{time.monotonic() - start:.0f} s; every sample is in {output}", file=sys.stderr)
    return 0


def _chosen_systems(options: argparse.Namespace) -> list[str]:
    """Those that were asked for, missing ones too: their rows then say so; else what is there."""
    if options.systems:
        names = options.systems.split(",")
        if unknown := [name for name in names if name not in ALL]:
            raise ValueError(f"there is no system {unknown[0]!r}; there are {', '.join(ALL)}")
        return list(names)
    usual = _QUICK_SYSTEMS if options.quick else ALL
    return [name for name in usual if name in _QUICK_SYSTEMS or _is_there(name)]


def _is_there(system: str) -> bool:
    try:
        command(system)
    except SystemMissingError:
        return False
    return True


def _find_model(name: str) -> Path:
    from llmlocal import models

    return Path(models.resolve(name))


def _physical_cores() -> int:
    from llmlocal._threads import default_threads

    return default_threads() or os.cpu_count() or 1


def _report(options: argparse.Namespace) -> int:
    from benchmarks.compare import render_changes
    from benchmarks.report import insert, render
    from benchmarks.results import load

    runs = [load(path) for path in options.results]
    text = render(runs)
    if options.into:
        page = options.into.read_text(encoding="utf-8")
        options.into.write_text(insert(page, text), encoding="utf-8")
    else:
        print(text)
    if options.compare:
        print(render_changes(load(options.compare), runs[-1]))
    return 0


def _plot(options: argparse.Namespace) -> int:
    from benchmarks.plot import plot
    from benchmarks.results import load, merge

    for results in merge([load(path) for path in options.results]):
        for path in plot(results, options.folder):
            print(path)
    return 0


def _model(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from benchmarks.synthetic import SHAPES, Shape, ensure_model, parameters, write_model

    shape = SHAPES.get(options.shape)
    if shape is None:
        try:
            shape = Shape.of_numbers(int(part) for part in options.shape.split(","))
        except (TypeError, ValueError):
            raise ValueError(
                f"a shape is one of {', '.join(SHAPES)}, or six or seven numbers: "
                f"layers,width,inner,heads,kv_heads,vocab[,context]; got {options.shape!r}"
            ) from None
    shape = replace(shape, type=options.type)
    if options.output:
        path = options.output
        write_model(path, shape, seed=0)
    else:
        path = ensure_model(shape, SYNTHETIC)
    print(f"{path} ({parameters(shape):,} weights, {path.stat().st_size:,} bytes)")
    return 0
