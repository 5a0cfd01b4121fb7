#include "base/file_watch.h"

#include <utility>

#ifndef _WIN32
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <span>
#include <system_error>

#include "base/checksum.h"
#endif

namespace llmlocal {

#ifdef _WIN32

FileWatch::FileWatch(std::vector<std::string>) {}
FileWatch::~FileWatch() = default;
std::optional<std::string> FileWatch::damage() const {
  return std::nullopt;
}

#else

namespace {

struct Facts {
  std::uint64_t size = 0;
  std::int64_t changed = 0;
};

std::optional<Facts> facts_of(int fd) {
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) return std::nullopt;
#ifdef __APPLE__
  const timespec& changed = facts.st_mtimespec;
#else
  const timespec& changed = facts.st_mtim;
#endif
  return Facts{static_cast<std::uint64_t>(facts.st_size),
               static_cast<std::int64_t>(changed.tv_sec) * 1'000'000'000 + changed.tv_nsec};
}

// Tells models apart that have the same size: a header names its model, and the last weights
// differ.
std::uint64_t content_of(int fd, std::uint64_t size) {
  constexpr std::size_t kEdge = 4096;
  std::array<std::byte, 2 * kEdge> bytes{};
  const std::uint64_t last = size - std::min<std::uint64_t>(size, kEdge);
  ::pread(fd, bytes.data(), kEdge, 0);
  ::pread(fd, bytes.data() + kEdge, kEdge, static_cast<off_t>(last));
  return checksum(bytes);
}

}  // namespace

FileWatch::FileWatch(std::vector<std::string> paths) {
  for (std::string& path : paths) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) continue;
    const auto facts = facts_of(fd);
    if (!facts) {
      ::close(fd);
      continue;
    }
    files_.push_back(
        {std::move(path), fd, facts->size, facts->changed, content_of(fd, facts->size)});
  }
}

FileWatch::~FileWatch() {
  for (const Watched& file : files_) ::close(file.fd);
}

std::optional<std::string> FileWatch::damage() const {
  const std::lock_guard lock(mutex_);
  for (Watched& file : files_) {
    if (damage_) break;
    damage_ = look_at(file);
  }
  return damage_;
}

std::optional<std::string> FileWatch::look_at(Watched& file) {
  const auto facts = facts_of(file.fd);
  if (!facts) return file.path + " is out of reach: " + std::generic_category().message(errno);
  if (facts->size < file.size) {
    return file.path + " was cut short while in use, from " + std::to_string(file.size) + " to " +
           std::to_string(facts->size) + " bytes";
  }
  if (facts->changed == file.changed) return std::nullopt;
  if (content_of(file.fd, file.size) != file.content) {
    return file.path + " was overwritten while in use";
  }
  file.changed = facts->changed;  // Somebody touched it.
  return std::nullopt;
}

#endif

}  // namespace llmlocal
