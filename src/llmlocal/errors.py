"""Every exception that llmlocal raises on purpose.

The tree::

    LLMLocalError
    ├── ModelError
    │   ├── ModelNotFoundError       (FileNotFoundError, ValueError)
    │   └── ModelLoadError           (RuntimeError, ValueError)
    │       └── LoadCancelledError
    ├── DownloadError                (RuntimeError, ValueError)
    │   ├── ChecksumError
    │   └── DownloadCancelledError
    ├── RequestError                 (ValueError)
    │   ├── ConstraintError
    │   │   └── SchemaError
    │   ├── ContextOverflowError
    │   ├── ParameterError
    │   ├── RequestCancelledError
    │   ├── RequestTimeoutError      (TimeoutError)
    │   └── TemplateError
    ├── DeviceError                  (RuntimeError, ValueError)
    └── EngineError                  (RuntimeError)
        ├── EngineClosedError        (ValueError)
        └── OutOfMemoryError         (MemoryError)

The built-in second bases keep code that was written for other libraries working: an old
``except ValueError`` or ``except FileNotFoundError`` still matches.  This module imports nothing
from the package; the extension module looks its classes up by name.
"""

from __future__ import annotations

__all__ = [
    "ChecksumError",
    "ConstraintError",
    "ContextOverflowError",
    "DeviceError",
    "DownloadCancelledError",
    "DownloadError",
    "EngineClosedError",
    "EngineError",
    "LLMLocalError",
    "LoadCancelledError",
    "ModelError",
    "ModelLoadError",
    "ModelNotFoundError",
    "OutOfMemoryError",
    "ParameterError",
    "RequestCancelledError",
    "RequestError",
    "RequestTimeoutError",
    "SchemaError",
    "TemplateError",
]


class LLMLocalError(Exception):
    """The base of every error that llmlocal raises on purpose."""

    def __str__(self) -> str:
        """The message; what UTF-8 can't have, of a file's name for example, is its code there."""
        return super().__str__().encode(errors="backslashreplace").decode()


class ModelError(LLMLocalError):
    """A model could not be found or opened."""


class ModelNotFoundError(ModelError, FileNotFoundError, ValueError):
    """No file, installed model or catalog entry has this name, and none may be downloaded."""


class ModelLoadError(ModelError, RuntimeError, ValueError):
    """The file exists but is not a model that can be run; the message has the reason."""


class LoadCancelledError(ModelLoadError):
    """The progress callback returned False while the model was loading."""


class DownloadError(LLMLocalError, RuntimeError, ValueError):
    """A model could not be fetched; what arrived so far is kept and the next try resumes."""


class ChecksumError(DownloadError):
    """The fetched bytes are not the ones that were promised; they have been set aside."""


class DownloadCancelledError(DownloadError):
    """The progress callback returned False while a model was being fetched."""


class RequestError(LLMLocalError, ValueError):
    """This one request cannot be served as it was asked; the model stays usable."""


class ConstraintError(RequestError):
    """An answer could not be held to what it was asked to obey; says why."""


class SchemaError(ConstraintError):
    """A JSON schema is wrong or can't be enforced, or an answer breaks what could only be checked.

    Attributes:
        path: Where in the schema, such as ``$.items.not``; ``$`` is all of it.
        answer: The answer, where there is one.
    """

    def __init__(self, message: str, *, path: str = "$", answer: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.answer = answer


class ContextOverflowError(RequestError):
    """The prompt does not fit in the context.

    Attributes:
        n_prompt: Tokens in the prompt, or None where unknown.
        n_ctx: Tokens that the context holds, or None where unknown.
    """

    def __init__(
        self, message: str, *, n_prompt: int | None = None, n_ctx: int | None = None
    ) -> None:
        super().__init__(message)
        self.n_prompt = n_prompt
        self.n_ctx = n_ctx


class ParameterError(RequestError):
    """An argument is out of its range; the message has its name, value and range."""


class RequestCancelledError(RequestError):
    """Embedding or ranking was stopped before it was done, by its progress callback for instance."""


class RequestTimeoutError(RequestError, TimeoutError):
    """The ``timeout`` passed: before embedding or ranking was done, or a long prompt was tokenized.

    An answer that has begun ends as it is, and its ``finish_reason`` is ``"timeout"``.
    """


class TemplateError(RequestError):
    """A chat template could not be parsed or rendered."""


class DeviceError(LLMLocalError, RuntimeError, ValueError):
    """The asked-for device is absent, too small or failed to start; the message lists what there is."""


class EngineError(LLMLocalError, RuntimeError):
    """The engine could not do its work; says whether the model is still usable."""


class EngineClosedError(EngineError, ValueError):
    """The model was closed, or its engine stopped, before or while this request ran."""


class OutOfMemoryError(EngineError, MemoryError):
    """There is not enough memory for the weights, the context or one step."""
