#include "base/errors.h"
#include "bindings/bindings.h"

namespace llmlocal::python {
namespace {

// The class of llmlocal.errors with this name.
py::object error_class(const char* name) {
  return py::module_::import("llmlocal.errors").attr(name);
}

void raise(const char* name, const Error& error) {
  py::set_error(error_class(name), error.what());
}

void raise_overflow(const ContextOverflowError& error) {
  using namespace py::literals;
  py::object cls = error_class("ContextOverflowError");
  py::object instance = cls(error.what(), "n_prompt"_a = error.n_prompt, "n_ctx"_a = error.n_ctx);
  py::set_error(cls, instance);
}

}  // namespace

void bind_errors(py::module_& /*module*/) {
  // One translator with ordered catches: pybind11 tries several in the reverse of their order of
  // registration, which would make the result depend on it.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): the type that pybind11 asks for
  py::register_exception_translator([](std::exception_ptr pointer) {
    if (!pointer) return;
    try {
      std::rethrow_exception(pointer);
    } catch (const LoadCancelledError& error) {
      raise("LoadCancelledError", error);
    } catch (const ModelLoadError& error) {
      raise("ModelLoadError", error);
    } catch (const ContextOverflowError& error) {
      raise_overflow(error);
    } catch (const ConstraintError& error) {
      raise("ConstraintError", error);
    } catch (const ParameterError& error) {
      raise("ParameterError", error);
    } catch (const DeviceError& error) {
      raise("DeviceError", error);
    } catch (const EngineClosedError& error) {
      raise("EngineClosedError", error);
    } catch (const OutOfMemoryError& error) {
      raise("OutOfMemoryError", error);
    } catch (const EngineError& error) {
      raise("EngineError", error);
    } catch (const Error& error) {
      raise("LLMLocalError", error);
    }
  });
}

}  // namespace llmlocal::python
