// llguidance, found at run time: the shared library in its wheel for Python.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/shared_library.h"
#include "guidance/llguidance.h"

namespace llmlocal {

class GuidanceLibrary {
 public:
  // Throws ConstraintError where it can't be opened, lacks a function, or is of a version with
  // other layouts.
  explicit GuidanceLibrary(const std::filesystem::path& path);

  const llg::Functions& functions() const { return functions_; }
  // Such as "llguidance@1.9.1 derivre@0.3.13".
  const std::string& version() const { return version_; }

 private:
  void check_layout() const;

  SharedLibrary library_;
  llg::Functions functions_{};
  std::string version_;
};

}  // namespace llmlocal
