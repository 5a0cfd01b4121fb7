#include "base/mapped_file.h"

#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#endif

namespace llmlocal {

#ifdef __linux__
namespace {

constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, which older headers lack.

// Owns an open file with a lease on it; the last one that is closed gives the lease back.
class Lease {
 public:
  explicit Lease(int file) : fd_(::fcntl(file, F_DUPFD_CLOEXEC, 0)) {
    // Who wants to write has the system tell us, by a signal that ends processes unless another one
    // is asked for.  This one is ignored, as nothing would be done about it: the memory is given
    // back soon.  It goes to the calling thread, so that no other is woken by it.
    f_owner_ex owner{F_OWNER_TID, static_cast<pid_t>(::syscall(SYS_gettid))};
    is_held_ = fd_ >= 0 && ::fcntl(fd_, F_SETSIG, SIGURG) == 0 &&
               ::fcntl(fd_, F_SETOWN_EX, &owner) == 0 && ::fcntl(fd_, F_SETLEASE, F_RDLCK) == 0;
  }
  ~Lease() {
    if (fd_ >= 0) ::close(fd_);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  bool is_held() const { return is_held_; }
  int file() const { return fd_; }

 private:
  int fd_;
  bool is_held_ = false;
};

class Mapping {
 public:
  Mapping(int file, std::size_t bytes) : lease_(file), bytes_(bytes) {
    struct stat facts{};
    if (!lease_.is_held() || ::fstat(lease_.file(), &facts) != 0 ||
        static_cast<std::size_t>(facts.st_size) < bytes) {
      return;
    }
    void* memory = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, lease_.file(), 0);
    if (memory == MAP_FAILED) return;
    memory_ = memory;
    is_whole_ = ::madvise(memory_, bytes, kPopulateRead) == 0;
  }
  ~Mapping() {
    if (memory_ != nullptr) ::munmap(memory_, bytes_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const std::byte* whole() const {
    return is_whole_ ? static_cast<const std::byte*>(memory_) : nullptr;
  }

 private:
  Lease lease_;  // The first member: it is given back when nothing is mapped any more.
  std::size_t bytes_;
  void* memory_ = nullptr;
  bool is_whole_ = false;
};

}  // namespace

std::shared_ptr<const std::byte[]> map_leased(int file, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  const auto mapping = std::make_shared<Mapping>(file, bytes);
  return mapping->whole() ? std::shared_ptr<const std::byte[]>(mapping, mapping->whole()) : nullptr;
}
#else
std::shared_ptr<const std::byte[]> map_leased(int, std::size_t) {
  return nullptr;
}
#endif

}  // namespace llmlocal
