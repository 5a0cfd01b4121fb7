#include "base/private_folder.h"

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/mapped_file.h"

#ifndef _WIN32
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#endif

namespace llmlocal {

#ifndef _WIN32
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw FileError("can't " + what + ": " + std::generic_category().message(errno));
}

// Owns an open file.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class PosixWritable final : public WritableFile {
 public:
  PosixWritable(int fd, std::string name) : file_(fd), name_(std::move(name)) {}
  void write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = ::write(file_.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail("write to " + name_);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }
  void sync() override {
    if (::fsync(file_.get()) != 0) fail("bring " + name_ + " to the disk");
  }

 private:
  Descriptor file_;
  std::string name_;
};

class PosixReadable final : public ReadableFile {
 public:
  PosixReadable(int fd, std::string name) : file_(fd), name_(std::move(name)) {}
  std::uint64_t size() override {
    struct stat facts{};
    if (::fstat(file_.get(), &facts) != 0) fail("look at " + name_);
    return static_cast<std::uint64_t>(facts.st_size);
  }
  std::size_t read(std::span<std::byte> into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t count = ::read(file_.get(), into.data() + done, into.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail("read " + name_);
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    return done;
  }
  std::shared_ptr<const std::byte[]> map() override { return map_leased(file_.get(), size()); }

 private:
  Descriptor file_;
  std::string name_;
};

class PosixFolder final : public PrivateFolder {
 public:
  PosixFolder(int fd, std::string path) : folder_(fd), path_(std::move(path)) {}

  std::vector<FileFacts> list() override {
    // A descriptor of its own, as it moves through the folder.
    const int copy = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) fail("read the folder " + path_);
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(copy), ::closedir);
    if (!entries) {
      ::close(copy);
      fail("read the folder " + path_);
    }
    std::vector<FileFacts> files;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the open folder is this function's own
    while (const dirent* entry = ::readdir(entries.get())) {
      struct stat facts{};
      if (::fstatat(folder_.get(), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (!S_ISREG(facts.st_mode)) continue;
      files.push_back({entry->d_name,
                       static_cast<std::uint64_t>(facts.st_size),
                       static_cast<std::int64_t>(facts.st_mtime)});
    }
    return files;
  }
  std::int64_t stamp() override {
    struct stat facts{};
    if (::fstat(folder_.get(), &facts) != 0) fail("look at the folder " + path_);
#ifdef __APPLE__
    const timespec& changed = facts.st_mtimespec;
#else
    const timespec& changed = facts.st_mtim;
#endif
    return static_cast<std::int64_t>(changed.tv_sec) * 1'000'000'000 + changed.tv_nsec;
  }
  std::unique_ptr<WritableFile> create(const std::string& name) override {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const int fd = ::openat(folder_.get(), name.c_str(), kFlags, 0600);
    if (fd < 0) fail("create " + full(name));
    return std::make_unique<PosixWritable>(fd, full(name));
  }
  std::unique_ptr<ReadableFile> open(const std::string& name) override {
    // A pipe of this name must not make anybody wait.
    constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    const int fd = ::openat(folder_.get(), name.c_str(), kFlags);
    if (fd < 0 && errno == ENOENT) return nullptr;
    if (fd < 0) fail("open " + full(name));
    return std::make_unique<PosixReadable>(fd, full(name));
  }
  void rename(const std::string& from, const std::string& to) override {
    if (::renameat(folder_.get(), from.c_str(), folder_.get(), to.c_str()) != 0) {
      fail("rename " + full(from));
    }
    ::fsync(folder_.get());  // Where a file system has no such thing, it does without.
  }
  void remove(const std::string& name) override {
    if (::unlinkat(folder_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
      fail("remove " + full(name));
    }
  }
  void touch(const std::string& name) override {
    if (::utimensat(folder_.get(), name.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) != 0) {
      fail("mark " + full(name) + " as used");
    }
  }
  std::uint64_t free_bytes() override {
    struct statvfs facts{};
    if (::fstatvfs(folder_.get(), &facts) != 0) fail("ask for the space in " + path_);
    return static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize;
  }

 private:
  std::string full(const std::string& name) const { return path_ + "/" + name; }

  Descriptor folder_;
  std::string path_;
};

}  // namespace

std::unique_ptr<PrivateFolder> open_private_folder(const std::filesystem::path& path) {
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail("make the folder " + path.string());
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) fail("open the folder " + path.string());
  auto folder = std::make_unique<PosixFolder>(fd, path.string());
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) fail("look at the folder " + path.string());
  if (facts.st_uid != ::geteuid()) {
    throw FileError("the folder " + path.string() + " belongs to another user");
  }
  // What is in it tells what prompts said.
  if ((facts.st_mode & 077) != 0 && ::fchmod(fd, 0700) != 0) {
    fail("make the folder " + path.string() + " private");
  }
  return folder;
}
#else
std::unique_ptr<PrivateFolder> open_private_folder(const std::filesystem::path& path) {
  throw FileError("prefixes can't be kept on disk on this system yet: " + path.string());
}
#endif

}  // namespace llmlocal
