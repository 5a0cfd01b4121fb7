#include <array>
#include <cstring>

#include "base/errors.h"
#include "bindings/bindings.h"
#include "bindings/text.h"

namespace llmlocal::python {
namespace {

struct ErrorClass {
  const char* name;
  PyObject* python = nullptr;  // A reference that is kept for good.
};

// The classes of llmlocal.errors that C++ raises.
std::array error_classes{
    ErrorClass{"LoadCancelledError"},
    ErrorClass{"ModelLoadError"},
    ErrorClass{"ContextOverflowError"},
    ErrorClass{"ConstraintError"},
    ErrorClass{"RequestTimeoutError"},
    ErrorClass{"ParameterError"},
    ErrorClass{"DeviceError"},
    ErrorClass{"EngineClosedError"},
    ErrorClass{"OutOfMemoryError"},
    ErrorClass{"EngineError"},
    ErrorClass{"LLMLocalError"},
};

PyObject* error_class(const char* name) {
  for (const ErrorClass& each : error_classes) {
    if (std::strcmp(each.name, name) == 0) return each.python;
  }
  return PyExc_RuntimeError;
}

void raise(const char* name, const Error& error) {
  const py::str text = text_of(error.what());
  call_python([&] { PyErr_SetObject(error_class(name), text.ptr()); });
}

void raise_overflow(const ContextOverflowError& error) {
  using namespace py::literals;
  PyObject* const cls = error_class("ContextOverflowError");
  const py::tuple text = py::make_tuple(text_of(error.what()));
  const py::dict sizes("n_prompt"_a = error.n_prompt, "n_ctx"_a = error.n_ctx);
  call_python([&] {
    PyObject* const instance = PyObject_Call(cls, text.ptr(), sizes.ptr());
    if (instance) PyErr_SetObject(cls, instance);
    Py_XDECREF(instance);
  });
}

}  // namespace

void bind_errors(py::module_& /*module*/) {
  const py::module_ errors = py::module_::import("llmlocal.errors");
  for (ErrorClass& each : error_classes) {
    each.python = py::object(errors.attr(each.name)).release().ptr();
  }
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
    } catch (const RequestTimeoutError& error) {
      raise("RequestTimeoutError", error);
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
