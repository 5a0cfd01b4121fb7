// Text for Python from bytes that a file, a driver or the system supplied, and that need not be
// UTF-8: pybind11's own conversion would raise a UnicodeDecodeError.
#pragma once

#include <pybind11/pybind11.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace llmlocal::python {

// What is not UTF-8 becomes U+FFFD.
inline pybind11::str text_of(std::string_view bytes) {
  PyObject* text =
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
  if (!text) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::str>(text);
}

// A getter for a field of that kind.
template <typename Class>
auto text_field(std::string Class::* field) {
  return [field](const Class& object) { return text_of(object.*field); };
}

// A path as C++ and llama.cpp take it: UTF-8 on Windows, elsewhere the system's bytes as they are.
inline std::string path_bytes(const std::filesystem::path& path) {
  const std::u8string bytes = path.u8string();
  return {bytes.begin(), bytes.end()};
}

// The same path as Python's os.fsdecode() gives it.
inline pybind11::str path_text(std::string_view bytes) {
  PyObject* text =
      PyUnicode_DecodeFSDefaultAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size()));
  if (!text) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::str>(text);
}

}  // namespace llmlocal::python
