// A folder that only its user can look into, and the few things that are done with its files.
//
// The seam to the file system: tests put one in its place that fails wherever they want.  Names are
// those of files in the folder, never paths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/errors.h"

namespace llmlocal {

// Something could not be done with a file; says what and why.
struct FileError : Error {
  using Error::Error;
};

struct FileFacts {
  std::string name;
  std::uint64_t bytes = 0;
  std::int64_t used_s = 0;  // Seconds since 1970, as touch() sets them.
};

class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // All of it, or it throws FileError.
  virtual void write(std::span<const std::byte> bytes) = 0;
  // Returns when it is on the disk and not only on its way.
  virtual void sync() = 0;
};

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual std::uint64_t size() = 0;
  // The next bytes; as many as fit, or fewer at the end.
  virtual std::size_t read(std::span<std::byte> into) = 0;
  // All of it as memory, which nobody changes while it is held.  Nothing: it must be read.
  virtual std::shared_ptr<const std::byte[]> map() { return nullptr; }
};

// Everything throws FileError.
class PrivateFolder {
 public:
  virtual ~PrivateFolder() = default;
  virtual std::vector<FileFacts> list() = 0;
  // Changes when files come or go.
  virtual std::int64_t stamp() = 0;
  // A new file, which its user alone can read; not where there is something of this name.
  virtual std::unique_ptr<WritableFile> create(const std::string& name) = 0;
  // Nothing: there is no such file.  Links are not followed.
  virtual std::unique_ptr<ReadableFile> open(const std::string& name) = 0;
  virtual void rename(const std::string& from, const std::string& to) = 0;
  virtual void remove(const std::string& name) = 0;  // Fine also where it is gone already.
  virtual void touch(const std::string& name) = 0;   // It was used now.
  virtual std::uint64_t free_bytes() = 0;            // On its disk.
};

// Makes the folder, and those above it, if it is not there.  Throws FileError where it can't be
// had, is a link, belongs to somebody else, or others can write to it.
std::unique_ptr<PrivateFolder> open_private_folder(const std::filesystem::path& path);

}  // namespace llmlocal
