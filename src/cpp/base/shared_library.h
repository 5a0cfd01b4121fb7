// A shared library that is looked into, and closed again unless something else holds it.
#pragma once

#include <filesystem>
#include <string>

namespace llmlocal {

class SharedLibrary {
 public:
  // Its initializers run, as in any loading of a library.
  explicit SharedLibrary(const std::filesystem::path& path);
  ~SharedLibrary();
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

  // Why it could not be opened; empty if it was.
  const std::string& problem() const { return problem_; }

  // The address of what has this name in it; null if nothing has.
  void* symbol(const char* name) const;

 private:
  void* handle_ = nullptr;
  std::string problem_;
};

}  // namespace llmlocal
