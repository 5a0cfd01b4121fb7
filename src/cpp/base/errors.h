// One struct per kind of failure.  The bindings map each to the Python class of the same name.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace llmlocal {

// The base of everything that this library throws on purpose.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The file is missing, unreadable or not a model that can be run.
struct ModelLoadError : Error {
  using Error::Error;
};

// The progress callback asked for the load to stop.
struct LoadCancelledError : ModelLoadError {
  using ModelLoadError::ModelLoadError;
};

// An argument is out of its range.
struct ParameterError : Error {
  using Error::Error;
};

// What an answer is held to broke, or left no way to go on.
struct ConstraintError : Error {
  using Error::Error;
};

// The time limit passed before there was anything to answer with.
struct RequestTimeoutError : Error {
  using Error::Error;
};

// The prompt is longer than the context.
struct ContextOverflowError : Error {
  ContextOverflowError(const std::string& what, std::size_t prompt_tokens, std::size_t context)
      : Error(what), n_prompt(prompt_tokens), n_ctx(context) {}
  std::size_t n_prompt;
  std::size_t n_ctx;
};

// The asked-for device is absent or did not start.
struct DeviceError : Error {
  using Error::Error;
};

// A step of the engine failed.
struct EngineError : Error {
  using Error::Error;
};

// An invariant of llama.cpp broke: what it worked on is in an unknown state, and may only be freed.
struct AbortError : EngineError {
  using EngineError::EngineError;
};

// The engine was closed, or had to stop, before the request was done.
struct EngineClosedError : EngineError {
  using EngineError::EngineError;
};

// Memory for the weights, the context or a step is not to be had.
struct OutOfMemoryError : EngineError {
  using EngineError::EngineError;
};

}  // namespace llmlocal
