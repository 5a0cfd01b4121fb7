// Watches files that are mapped into memory.
//
// What is cut off a file is gone from its map as well, and a read of it ends the process (SIGBUS);
// what is written over a file is in its map at once.  Both are seen here, at the next look.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace llmlocal {

class FileWatch {
 public:
  // Takes the files as they are now.  One that can't be opened isn't watched, and on Windows none
  // is, where nobody can change a mapped file.  A file that is renamed or deleted is still there.
  explicit FileWatch(std::vector<std::string> paths);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // What became of one of the files, for an error message, and for good; nullopt: nothing.
  // Thread-safe, and cheap: one system call for each file.
  std::optional<std::string> damage() const;

 private:
  struct Watched {
    std::string path;
    int fd = -1;
    std::uint64_t size = 0;     // Bytes; it may grow.
    std::int64_t changed = 0;   // Nanoseconds since 1970.
    std::uint64_t content = 0;  // Of its first and its last bytes.
  };

  static std::optional<std::string> look_at(Watched& file);

  mutable std::mutex mutex_;  // Guards what follows.
  mutable std::vector<Watched> files_;
  mutable std::optional<std::string> damage_;
};

}  // namespace llmlocal
