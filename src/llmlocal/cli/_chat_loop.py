"""The conversation of ``llmlocal chat``: messages and commands in, answers out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from llmlocal._own_files import replace_own
from llmlocal.cli._errors import in_flags
from llmlocal.cli._prompt_bar import PromptBar
from llmlocal.cli._tool_file import call_text
from llmlocal.errors import LLMLocalError, ParameterError

if TYPE_CHECKING:
    from llmlocal import LLM, ChatReply, ChatSession, ChatStream, ToolCall
    from llmlocal._templates import Part
    from llmlocal.cli._terminal import Terminal

__all__ = ["ChatLoop", "read_file", "write_file"]

_HELP = """\
/system [TEXT]  show the system message, or set it; - for none
/undo           take back your last message and its answer
/retry          another answer to your last message
/new            begin again; the system message stays
/save FILE      write the conversation to a file
/load FILE      continue a conversation from a file
/stats          statistics for the last answer
/exit           leave; exit, quit and Ctrl-D do too
Ctrl-C stops an answer. A \\ at the end of a line continues it on the next; three double quotes begin
and end a message of many lines; // begins a message with a slash."""

_LEAVING = ("/exit", "/quit")
_LEAVING_ALONE = ("exit", "quit", *_LEAVING)


class ChatLoop:
    """A conversation with a model.

    Args:
        llm: The model.
        session: The conversation, which may have begun.
        terminal: Where messages come from and answers go to.
        asks: Whether the person is asked before each call of a tool.
    """

    def __init__(
        self, llm: LLM, session: ChatSession, terminal: Terminal, *, asks: bool = True
    ) -> None:
        self._llm = llm
        self._asks = asks
        self._was_reasoning = False
        self._session = session
        self._terminal = terminal
        self._last: ChatReply | None = None
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: terminal.note(_HELP),
            "/load": self._load,
            "/new": lambda _: self._begin_again(),
            "/retry": lambda _: self._retry(),
            "/save": self._save,
            "/stats": lambda _: self._tell_stats(),
            "/system": self._system,
            "/undo": lambda _: self._undo(),
        }

    @property
    def session(self) -> ChatSession:
        """The conversation; ``/load`` begins another."""
        return self._session

    def run(self) -> None:
        """Go on until the end of the input, ``/exit``, or Ctrl-C twice."""
        while True:
            message = self._read()
            if message is None or self._is_leaving(message):
                return
            if message.strip():
                self._take(message)

    def _read(self) -> str | None:
        """The next message; None to leave."""
        for hint in ("(Ctrl-C again, or /exit, leaves)", ""):
            try:
                return self._terminal.read_message()
            except KeyboardInterrupt:
                if not self._terminal.is_interactive:
                    raise
                self._terminal.note(f"\n{hint}".rstrip("\n"))
        return None

    def _is_leaving(self, message: str) -> bool:
        words = message.lower().split()
        is_meant = words[:1] in ([word] for word in _LEAVING) or words in (
            [word] for word in _LEAVING_ALONE
        )
        return is_meant and self._terminal.is_interactive

    def _take(self, message: str) -> None:
        """Do what a message says, or answer it; what comes through a pipe is a message always."""
        try:
            if not self._terminal.is_interactive:
                self._answer(message)
            elif message.startswith("//"):
                self._answer(message[1:])
            elif message.startswith("/"):
                self._command(*message.split(maxsplit=1))
            else:
                self._answer(message)
        except LLMLocalError as exc:
            if not self._terminal.is_interactive:
                raise
            self._terminal.note(f"error: {in_flags(str(exc))}")

    def _answer(self, message: str | None) -> None:
        stream: ChatStream | None = None
        self._was_reasoning = False
        try:
            if any(tool.function for tool in self._session.own_tools):
                self._last = self._session.run(
                    message,
                    on_part=self._show,
                    on_call=self._may_call,
                    on_prompt=PromptBar(),
                    on_result=lambda _, text: self._terminal.note(f"  = {_shortened(text)}"),
                )
            else:
                stream = self._session.generate(message, streaming=True, on_prompt=PromptBar())
                for part in stream.parts():
                    self._show(part)
                self._last = stream.result
        except KeyboardInterrupt:
            if stream is not None:
                stream.close()
            if not self._terminal.is_interactive:
                raise
            self._terminal.note("\n(stopped)")
        else:
            self._terminal.write("\n")
            self._tell_how_it_ended(self._last)

    def _show(self, part: Part) -> None:
        kind, text = part
        if kind in ("call", "arguments"):
            return  # Shown whole, with the question.
        is_reasoning = kind == "reasoning"
        if is_reasoning != self._was_reasoning:
            self._terminal.write_aside("[thinking]\n" if is_reasoning else "\n[answer]\n")
        self._was_reasoning = is_reasoning
        (self._terminal.write_aside if is_reasoning else self._terminal.write)(text)

    def _may_call(self, call: ToolCall) -> bool:
        """Tell of a call, and ask whether it may be made."""
        if not self._asks:
            self._terminal.note(f"[{call_text(call)}]")
            return True
        return self._terminal.ask(f"call {call_text(call)}? [y/N] ")

    def _tell_how_it_ended(self, reply: ChatReply) -> None:
        if reply.finish_reason == "length":
            is_full = _used(reply) >= self._llm.n_ctx
            self._terminal.note(
                "(stopped: the context is full)" if is_full else "(stopped at --max-tokens)"
            )
        if reply.finish_reason == "timeout":
            self._terminal.note("(stopped at --timeout)")
        if reply.dropped_messages:
            n_dropped = reply.dropped_messages
            self._terminal.note(
                f"(the oldest {n_dropped} messages no longer fit and were left out)"
            )

    # --- Commands --------------------------------------------------------------------------------

    def _command(self, name: str, argument: str = "") -> None:
        command = self._commands.get(name)
        if command is None:
            self._terminal.note(f"there is no command {name}; /help lists them")
        else:
            command(argument.strip())

    def _system(self, text: str) -> None:
        if text:
            self._session.system = None if text == "-" else text
        self._terminal.note(f"system: {self._session.system or '(none)'}")

    def _undo(self) -> None:
        taken = self._session.undo()
        self._terminal.note(
            f"took back: {_shortened(taken[0]['content'])}" if taken else "nothing to take back"
        )

    def _begin_again(self) -> None:
        history = self._session.history
        del history[int(self._session.system is not None) :]
        self._terminal.note("a new conversation")

    def _retry(self) -> None:
        taken = self._session.undo()
        if not taken:
            self._terminal.note("nothing to answer again")
            return
        n_before = len(self._session.history)
        try:
            self._answer(taken[0]["content"])
        finally:
            if len(self._session.history) == n_before:
                self._session.history += taken  # no new answer came: the old one stays

    def _save(self, name: str) -> None:
        if not name:
            self._terminal.note("save to which file? /save FILE")
            return
        write_file(name, self._session.to_json())
        self._terminal.note(f"saved {len(self._session.history)} messages to {name}")

    def _load(self, name: str) -> None:
        from llmlocal import ChatSession

        if not name:
            self._terminal.note("load which file? /load FILE")
            return
        self._session = ChatSession.from_json(self._llm, read_file(name))
        self._terminal.note(f"loaded {len(self._session.history)} messages from {name}")

    def _tell_stats(self) -> None:
        reply = self._last
        if reply is None:
            self._terminal.note("no answer yet")
            return
        usage, timings = reply.usage, reply.timings
        rate = f"{1 / timings.per_token:.1f} tokens/s" if timings.per_token else "-"
        self._terminal.note(
            inspect.cleandoc(
                f"""\
                answer   {usage.completion_tokens} tokens, {rate}; ended by {reply.finish_reason}
                prompt   {usage.prompt_tokens} tokens, {usage.cached_tokens} of them cached
                wait     {timings.first_token:.3f} s to the first token
                context  {min(_used(reply), self._llm.n_ctx)} of {self._llm.n_ctx} tokens, {len(self._session.history)} messages"""
            )
        )


def read_file(name: str) -> str:
    """A file's text.

    Raises:
        ParameterError: It can't be read; says why.
    """
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ParameterError(f"{name} can't be read: {_reason(exc)}") from exc


def write_file(name: str, text: str) -> None:
    """Make a file of this name anew.

    Raises:
        ParameterError: It can't be written; says why.
    """
    path = Path(name).expanduser()
    if path.exists() and not path.is_file():
        raise ParameterError(f"{name} can't be written: it is not a regular file")
    try:
        replace_own(path, text)
    except (OSError, ValueError) as exc:  # ValueError: a name with a NUL
        raise ParameterError(f"{name} can't be written: {_reason(exc)}") from exc


def _reason(exc: Exception) -> str:
    """What went wrong, without the name of the file."""
    if isinstance(exc, OSError):
        return exc.strerror or str(exc)
    return "it is not a text in UTF-8"


def _used(reply: ChatReply) -> int:
    """How much of the context was taken, in tokens."""
    return reply.usage.prompt_tokens + reply.usage.completion_tokens


def _shortened(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 60 else f"{line[:57]}..."
