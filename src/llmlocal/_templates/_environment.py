"""The Jinja environment that chat templates run in: Hugging Face's, bounded, and marking text.

Jinja's own sandbox decides which attributes a template may see.  Compiled templates then call back
into the environment for everything that makes text or takes time.  Nothing that is charged can run
without a rendering to charge, so nothing of it runs while a template is compiled.  This module
imports Jinja, so it is imported when a template is first rendered and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension, loopcontrols
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ._filters import GLOBALS, TESTS, filters
from ._operations import FormatMethod, binop, call_method, concat, current_meter, settle, text_of

if TYPE_CHECKING:
    from jinja2.parser import Parser

__all__ = ["TemplateEnvironment"]

# The first makes bytes, whose origin can't be followed; the others make text of any length.
_UNSAFE_METHODS = frozenset({"encode", "maketrans", "translate"})


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Compiles and runs chat templates.  One serves all threads.

    Args:
        more_filters: Filters that a template needs beyond those of this package, by name.
    """

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, more_filters: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=0,
            extensions=[_GenerationTag, loopcontrols],
        )
        self.code_generator_class = _CodeGenerator
        self.filters = filters(more_filters)
        self.tests = dict(TESTS)
        self.globals = dict(GLOBALS)

    # -- what compiled templates call ---------------------------------------------------------

    def tick(self) -> bool:
        """One step: a loop's iteration, a macro's start, a comparison."""
        current_meter().tick()
        return True

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """The pieces of a block, a macro or the whole."""
        return concat(list(parts))

    def text(self, value: object) -> str:
        """``value`` as it is written into the output."""
        return text_of(value)

    def tilde(self, values: Iterable[object]) -> str:
        """The operator ``~``."""
        return concat([text_of(value) for value in values])

    def container(self, value: Any) -> Any:
        """A list, tuple or dict that the template has just written."""
        return current_meter().admit(value)

    def part(self, value: Any) -> Any:
        """A slice that the template has just taken."""
        current_meter().allow(len(value))
        return value

    def call_binop(self, _context: Context, operator: str, left: Any, right: Any) -> Any:
        return binop(operator, self.binop_table[operator], left, right)

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        meter = current_meter()
        meter.tick()
        if isinstance(function, Macro | LoopContext):
            with meter.nested():
                return super().call(context, function, *args, **kwargs)
        receiver = getattr(function, "__self__", None)
        if type(receiver) is list and function.__name__ == "append":
            return meter.append(receiver, *args)
        if isinstance(receiver, str) or isinstance(function, FormatMethod):
            kwargs = {name: value for name, value in kwargs.items() if name not in _FROM_COMPILER}
            if isinstance(function, FormatMethod):
                return function(*args, **kwargs)
            return call_method(cast("str", receiver), function.__name__, args, kwargs)
        result = super().call(context, function, *args, **kwargs)
        if isinstance(receiver, Mapping | list | tuple):
            return result  # what it holds, as it is
        return settle(result, (*args, *kwargs.values()))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr in _UNSAFE_METHODS:
            return False
        if type(obj) is list and attr == "append":  # Kimi's templates collect ids with it
            return True
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is None:
            return None
        return FormatMethod(self, value.__self__, takes_mapping=value.__name__ == "format_map")


_FROM_COMPILER = frozenset({"_loop_vars", "_block_vars"})


class _CodeGenerator(CodeGenerator):
    """Jinja's compiler, with calls to the environment where it would act on values itself."""

    def enter_frame(self, frame: Frame) -> None:
        super().enter_frame(frame)
        self.writeline("environment.tick()")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802  # Jinja's name
        self.write("(environment.tick() and ")
        super().visit_Compare(node, frame)
        self.write(")")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.tilde((")
        for child in node.nodes:
            self.visit(child, frame)
            self.write(", ")
        self.write("))")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        method = "part" if isinstance(node.arg, nodes.Slice) else None
        self._visit_through(method, super().visit_Getitem, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        self._visit_through("container", super().visit_Dict, node, frame)

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802
        self._visit_through("container", super().visit_List, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        method = "container" if node.ctx == "load" else None
        self._visit_through(method, super().visit_Tuple, node, frame)

    def _visit_through(
        self,
        method: str | None,
        visit: Callable[[Any, Frame], None],
        node: nodes.Node,
        frame: Frame,
    ) -> None:
        if method is None:
            visit(node, frame)
            return
        self.write(f"environment.{method}(")
        visit(node, frame)
        self.write(")")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:  # noqa: ARG002
        self.write("environment.text(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:  # noqa: ARG002
        self.write(")")


class _GenerationTag(Extension):
    """``{% generation %}``: marks what the model wrote, for training; here it is only a block."""

    tags = {"generation"}  # noqa: RUF012  # Jinja reads it from the class

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)
