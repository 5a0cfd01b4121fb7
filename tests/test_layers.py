"""Imports and includes point one way, as docs/architecture.md draws it, and what is heavy waits."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import llmlocal

PACKAGE = Path(llmlocal.__file__).parent
CPP = Path(__file__).parents[1] / "src" / "cpp"

# From below; what stands nowhere is a leaf module.
LAYERS = [
    {"", "errors", "_progress", "_own_files", "_quote", "_checks"},
    {"_core"},
    LEAVES := {"models", "_templates"},
    {"_generation"},
    {"_chat"},
    {"_encoding"},
    {"_llm", "_embedder", "_reranker"},
    {"_pool"},
    {"server"},
    {"_doctor", "gpt4all", "cli", "ray", "__main__"},
]

# The rooms of llmlocal.models, from below; the modules beside them are on top.
ROOMS = ["_report", "_names", "_gguf", "_catalog", "_disk", "_http", "_download"]

# What each folder may include: of ours, and of others beside the standard library.
MAY_INCLUDE = {
    "base": (["base"], ""),
    "sampling": (["base", "sampling"], ""),
    "net": (["base", "net"], ""),
    "engine": (["base", "sampling", "engine"], ""),
    "kernels": (["kernels"], r"immintrin\.h|ggml[a-z/-]*\.h"),
    "llama": (["base", "sampling", "net", "engine", "llama"], r"llama\.h|ggml[a-z-]*\.h"),
    "guidance": (["base", "sampling", "guidance"], ""),
    "bindings": (
        ["base", "sampling", "net", "guidance", "engine", "llama", "bindings"],
        r"pybind11/.*",
    ),
}
SYSTEM = r"[a-z0-9_]+|[a-z0-9_/]+\.h"  # <vector>, <sys/socket.h>

HEAVY = [
    "asyncio",
    "filelock",
    "httpx",
    "importlib.metadata",
    "jinja2",
    "numpy",
    "platformdirs",
    "tqdm",
]


# --- Python --------------------------------------------------------------------------------------


def modules() -> dict[str, Path]:
    """The package's modules: names without "llmlocal.", and their files."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """The modules of ours that one imports anywhere; and whether that is for the types only."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        for target in targets(node, module):
            yield target, id(node) in for_types


def targets(node: ast.AST, module: str) -> list[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
        return [name.removeprefix("llmlocal.") for name in names if is_ours(name)]
    if not isinstance(node, ast.ImportFrom):
        return []
    source = absolute(node, module)
    return [home(source, alias.name) for alias in node.names] if is_ours(source) else []


def is_ours(name: str) -> bool:
    return name == "llmlocal" or name.startswith("llmlocal.")


def absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    inside = ["llmlocal", *module.split(".")]
    is_package = MODULES[module].name == "__init__.py"
    above = inside[: len(inside) - node.level + is_package]
    return ".".join([*above, node.module] if node.module else above)


def home(source: str, name: str) -> str:
    """The module that ``from source import name`` needs."""
    short = source.removeprefix("llmlocal").removeprefix(".")
    inner = f"{short}.{name}".removeprefix(".")
    if inner in MODULES or inner == "_core":
        return inner
    return short or llmlocal._HOMES.get(name, "")


def layer(module: str) -> int:
    top = module.partition(".")[0]
    return next((rank for rank, names in enumerate(LAYERS) if top in names), LAYERS.index(LEAVES))


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {""}))
def test_imports_point_down(module: str) -> None:
    assert [name for name, _ in imports(module) if layer(name) > layer(module)] == []


def room(module: str) -> int:
    inner = module.removeprefix("models.").partition(".")[0]
    return ROOMS.index(inner) if inner in ROOMS else len(ROOMS)


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("models.")))
def test_rooms_of_models_point_down(module: str) -> None:
    inside = [name for name, _ in imports(module) if name.startswith("models.")]
    assert [name for name in inside if room(name) > room(module)] == []


def test_imports_go_in_no_circle() -> None:
    """Also those inside functions: a circle that is cut by a late import is one."""
    circles = TopologicalSorter[str]()
    for module in MODULES.keys() - {""}:  # That one imports what is asked for.
        for name, is_type in imports(module):
            if not is_type and name != module:
                circles.add(module, name)
    circles.prepare()  # Raises a CycleError.


def test_what_the_walk_sees() -> None:
    assert set(imports("_chat._stream")) >= {
        ("_generation._completion", False),
        ("_generation._options", False),
    }
    assert ("_llm", True) in set(imports("cli.run"))  # from llmlocal import LLM
    assert ("gpt4all._sessions", False) in set(imports("gpt4all.gpt4all"))  # inside a function
    assert ("models._disk._store", False) in set(imports("models._verify"))
    assert ("_templates._template", False) in set(imports("_templates"))  # from ._template import


def loaded_by(program: str) -> set[str]:
    """What a program has loaded at its end, beyond what Python itself does."""
    tell = "import sys; before = {*sys.modules}\n%s\nprint(*({*sys.modules} - before))"
    done = subprocess.run(
        [sys.executable, "-c", tell % program], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = loaded_by("import llmlocal; llmlocal.__version__; dir(llmlocal)")
    assert {name for name in loaded if is_ours(name)} == {"llmlocal"}
    assert {name.split(".")[0] for name in loaded} - sys.stdlib_module_names == {"llmlocal"}
    assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize(
    ("program", "may_load"),
    [
        ("from llmlocal.errors import *", []),
        ("from llmlocal import LLM", []),
        ("from llmlocal import models; models.inspect", []),
        ("from llmlocal.cli import main", []),
        ("from llmlocal import ChatSession", ["jinja2"]),
    ],
)
def test_libraries_wait_until_they_are_needed(program: str, may_load: list[str]) -> None:
    assert loaded_by(program).intersection(HEAVY) <= set(may_load)


def test_models_need_no_extension() -> None:
    names = [name for name in MODULES if name.split(".")[0] in ("models", "errors", "_progress")]
    program = f"""
sys.modules["llmlocal._core"] = None
import importlib
for name in {sorted(names)}:
    importlib.import_module("llmlocal." + name)
"""
    assert {f"llmlocal.{name}" for name in names} <= loaded_by(program)


# --- C++ -----------------------------------------------------------------------------------------


def cpp_files() -> list[Path]:
    return sorted(path for path in CPP.rglob("*") if path.suffix in (".h", ".cpp"))


@pytest.mark.skipif(not CPP.exists(), reason="there is no source here")
def test_every_folder_has_its_rules() -> None:
    assert {path.relative_to(CPP).parts[0] for path in cpp_files()} == MAY_INCLUDE.keys()


@pytest.mark.parametrize("path", cpp_files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_includes_point_down(path: Path) -> None:
    ours, others = MAY_INCLUDE[path.relative_to(CPP).parts[0]]
    text = path.read_text(encoding="utf-8")
    quoted = re.findall(r'^\s*#\s*include\s*"([^"]*)"', text, re.MULTILINE)
    angled = re.findall(r"^\s*#\s*include\s*<([^>]*)>", text, re.MULTILINE)
    assert [name for name in quoted if name.split("/")[0] not in ours] == []
    assert [name for name in quoted if not (CPP / name).is_file()] == []
    assert [name for name in angled if is_foreign(name) and not re.fullmatch(others, name)] == []


def is_foreign(header: str) -> bool:
    return bool(re.match(r"llama|ggml|gguf|pybind11|Python\.h", header)) or not re.fullmatch(
        SYSTEM, header
    )
