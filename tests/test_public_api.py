"""What programs may rely on: the names, their documentation, their types, and the version."""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import importlib.metadata
import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import llmlocal
from llmlocal import _core, errors, models

PACKAGE = Path(llmlocal.__file__).parent
STUB = PACKAGE / "_core.pyi"


# --- Names ---------------------------------------------------------------------------------------


def test_all_is_sorted_and_complete() -> None:
    assert llmlocal.__all__ == sorted(llmlocal.__all__, key=str.casefold)
    assert len(llmlocal.__all__) == len(set(llmlocal.__all__))
    assert dir(llmlocal) == sorted(llmlocal.__all__)
    assert set(llmlocal.__all__) - {"__version__"} == set(llmlocal._HOMES)


@pytest.mark.parametrize("name", llmlocal.__all__)
def test_a_name_leads_to_what_it_says(name: str) -> None:
    value = getattr(llmlocal, name)
    told = getattr(value, "__name__", name)
    assert told.removeprefix("llmlocal.") == name


def test_type_checkers_see_the_same_names() -> None:
    """A checker reads the imports for types, a program the table of homes."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "not re-exported"
            seen[alias.name] = (node.module or "").removeprefix("llmlocal").removeprefix(".")
    assert seen == llmlocal._HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'llmlocal' has no attribute 'nothing'"):
        llmlocal.nothing  # noqa: B018


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_of_the_one_tree(name: str) -> None:
    error = getattr(llmlocal, name)
    assert error is getattr(errors, name)
    assert issubclass(error, errors.LLMLocalError)


def test_everything_of_models_exists() -> None:
    assert [name for name in models.__all__ if not hasattr(models, name)] == []


# --- Documentation -------------------------------------------------------------------------------


def public() -> Iterator[tuple[str, Any]]:
    """Every public class and function, and the public methods and properties of the classes."""
    for prefix, module in (("", llmlocal), ("models.", models)):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                yield prefix + name, value
            if inspect.isclass(value):
                yield from ((f"{prefix}{name}.{each}", part) for each, part in members(value))


def members(cls: type) -> Iterator[tuple[str, Any]]:
    for base in cls.__mro__:
        if base.__module__.startswith("llmlocal"):
            for name, value in vars(base).items():
                if not name.startswith("_") and (
                    inspect.isroutine(value) or isinstance(value, (property, classmethod))
                ):
                    yield name, value


PUBLIC = dict(public())


def doc(name: str) -> str:
    return inspect.getdoc(PUBLIC[name]) or ""


def section(name: str, title: str) -> str:
    """The indented lines below ``title:``; empty if there are none."""
    found = re.search(rf"^{title}:\n((?:    .*\n?|\n)+)", doc(name), re.MULTILINE)
    return found[1] if found else ""


def is_plain(name: str) -> bool:
    """Known to everybody, from every context manager and every class of data."""
    return name.rpartition(".")[2] in {"aclose", "closed", "text", "of"}


@pytest.mark.parametrize("name", [name for name in PUBLIC if not is_plain(name)])
def test_it_is_documented(name: str) -> None:
    assert doc(name), f"{name} has no docstring"
    assert doc(name).splitlines()[0].endswith((".", "...", ":")), "the first line is no sentence"


@pytest.mark.parametrize("name", PUBLIC)
def test_its_types_can_be_asked_for(name: str) -> None:
    """As frameworks do that make a form or a schema of a function."""
    value = PUBLIC[name]
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    typing.get_type_hints(getattr(value, "__func__", value))
    if inspect.isclass(value):
        typing.get_type_hints(value.__init__)


def test_options_have_a_type_where_typing_has_no_unpack() -> None:
    """As in Python 3.10."""
    program = """
import sys, typing
sys.version_info = (3, 10, 0, "final", 0)
import llmlocal._typing
from llmlocal._llm import LLM
assert llmlocal._typing.Unpack.__module__ == "llmlocal._typing"
assert typing.get_type_hints(LLM.generate)["options"] is llmlocal.Options
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def with_section(title: str) -> list[str]:
    return [name for name in PUBLIC if section(name, title)]


@pytest.mark.parametrize("name", with_section("Args"))
def test_args_are_the_parameters(name: str) -> None:
    """In their order; ``**options`` stands for many."""
    value = PUBLIC[name]
    function: Callable[..., object] = getattr(value, "__func__", value)
    bare = inspect.Parameter.empty
    parameters = [
        str(each.replace(annotation=bare, default=bare))
        for each in inspect.signature(function).parameters.values()
    ]
    documented = re.findall(r"^    (\**\w+): ", section(name, "Args"), re.MULTILINE)
    assert documented == [each for each in parameters if each not in ("self", "cls")]


@pytest.mark.parametrize("name", with_section("Raises"))
def test_raises_are_errors(name: str) -> None:
    raised = re.findall(r"^    (\w+): ", section(name, "Raises"), re.MULTILINE)
    assert raised
    assert [
        each for each in raised if not hasattr(errors, each) and not hasattr(builtins, each)
    ] == []


@pytest.mark.parametrize("name", with_section("Attributes"))
def test_attributes_exist(name: str) -> None:
    cls = PUBLIC[name]
    documented = re.findall(r"^    (\w+): ", section(name, "Attributes"), re.MULTILINE)
    own = {key for base in cls.__mro__ for key in getattr(base, "__annotations__", {})}
    set_on_self = re.findall(r"self\.(\w+)\b[^\n]* = ", inspect.getsource(cls))
    assert documented
    assert [
        each
        for each in documented
        if each not in own and each not in set_on_self and not hasattr(cls, each)
    ] == []


# --- The extension -------------------------------------------------------------------------------


def stub_names() -> dict[str, list[str] | None]:
    """What the stub declares: dotted names, with the names of the parameters of functions."""
    found: dict[str, list[str] | None] = {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        found.update(declared(node, ""))
    return found


def declared(node: ast.stmt, prefix: str) -> Iterator[tuple[str, list[str] | None]]:
    if isinstance(node, ast.ClassDef):
        yield prefix + node.name, None
        for inner in node.body:
            yield from declared(inner, f"{prefix}{node.name}.")
    elif isinstance(node, ast.FunctionDef):
        is_property = any(ast.unparse(each) == "property" for each in node.decorator_list)
        yield prefix + node.name, None if is_property else parameters_of(node)
    elif isinstance(node, ast.AnnAssign):
        yield prefix + ast.unparse(node.target), None
    elif isinstance(node, ast.Assign):
        yield prefix + ast.unparse(node.targets[0]), None


def parameters_of(node: ast.FunctionDef) -> list[str]:
    """Names in order, with a star where the keyword-only ones begin."""
    names = [each.arg for each in node.args.args if each.arg != "self"]
    only = [each.arg for each in node.args.kwonlyargs]
    return [*names, "*", *only] if only else names


def compiled_names() -> dict[str, list[str] | None]:
    found: dict[str, list[str] | None] = {"__version__": None}
    for name, value in vars(_core).items():
        if inspect.isclass(value):
            found[name] = None
            found.update((f"{name}.{each}", part) for each, part in compiled_members(value))
        elif inspect.isroutine(value):
            found[name] = signature_in(value.__doc__)
    return found


def compiled_members(cls: type) -> Iterator[tuple[str, list[str] | None]]:
    for name, value in vars(cls).items():
        is_shown = not name.startswith("_") or name == "__init__"
        if not is_shown or (
            name == "__init__" and not (value.__doc__ or "").startswith("__init__(")
        ):
            continue
        is_function = inspect.isroutine(value) and not issubclass(cls, enum.Enum)
        yield name, signature_in(getattr(cls, name).__doc__) if is_function else None


def signature_in(text: str | None) -> list[str]:
    """The parameters in the first line that pybind11 writes into a docstring."""
    assert text is not None
    function = ast.parse(f"def {text.splitlines()[0]}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    return parameters_of(function)


def test_the_stub_is_the_module() -> None:
    stub, compiled = stub_names(), compiled_names()
    assert stub.keys() - compiled.keys() == set(), "declared, but not there"
    assert compiled.keys() - stub.keys() == set(), "there, but not declared"
    assert {
        name: (stub[name], compiled[name]) for name in stub if stub[name] != compiled[name]
    } == {}


# --- The package ---------------------------------------------------------------------------------


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.?[a-z]+\d+)?", llmlocal.__version__)
    assert _core.__version__ == llmlocal.__version__
    assert importlib.metadata.version("llmlocal") == llmlocal.__version__


def test_types_and_data_are_shipped() -> None:
    assert [
        name for name in ("py.typed", "_core.pyi", "data/catalog.json") if not there(name)
    ] == []


def there(name: str) -> bool:
    return (PACKAGE / name).is_file()


def test_the_command_is_installed() -> None:
    scripts = importlib.metadata.distribution("llmlocal").entry_points.select(
        group="console_scripts"
    )
    assert [(each.name, each.value) for each in scripts] == [("llmlocal", "llmlocal.cli:main")]
