#include "base/thread_group.h"

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <system_error>
#else
#include "base/cpu_time.h"
#endif

namespace llmlocal {

#ifdef __linux__

namespace {

constexpr std::size_t kLongestName = 16;  // With the zero at its end.

std::optional<double> seconds_of(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return std::nullopt;
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// As pthread_getcpuclockid() makes it: the kernel's, for the time on CPUs of one thread.
clockid_t clock_of_thread(int id) {
  constexpr unsigned kOfOneThread = 4;
  constexpr unsigned kOnCpus = 2;
  return static_cast<clockid_t>((~static_cast<unsigned>(id) << 3U) | kOfOneThread | kOnCpus);
}

}  // namespace

ThreadGroup::Naming::Naming() {
  static std::atomic<unsigned> count{0};
  name_ = "llmlocal-" + std::to_string(++count % 1'000'000);
  std::array<char, kLongestName> before{};
  prctl(PR_GET_NAME, before.data());
  before_ = before.data();
  prctl(PR_SET_NAME, name_.c_str());
}

ThreadGroup::Naming::~Naming() {
  prctl(PR_SET_NAME, before_.c_str());
}

std::vector<int> ThreadGroup::Naming::named() const {
  const long own_id = syscall(SYS_gettid);
  std::vector<int> ids;
  std::error_code failure;  // Threads come and go: what can't be read is none of these.
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", failure)) {
    std::ifstream file(entry.path() / "comm");
    std::string name;
    if (!std::getline(file, name) || name != name_) continue;
    const std::string text = entry.path().filename().string();
    int id = 0;
    std::from_chars(text.data(), text.data() + text.size(), id);
    if (id != own_id) ids.push_back(id);
  }
  return ids;
}

std::optional<double> ThreadGroup::cpu_seconds() const {
  std::optional<double> sum = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  for (const int id : ids_) {
    const std::optional<double> seconds = seconds_of(clock_of_thread(id));
    if (!sum || !seconds) return std::nullopt;
    *sum += *seconds;
  }
  return sum;
}

#else

ThreadGroup::Naming::Naming() = default;
ThreadGroup::Naming::~Naming() = default;

std::vector<int> ThreadGroup::Naming::named() const {
  return {};
}

std::optional<double> ThreadGroup::cpu_seconds() const {
  const std::optional<CpuUse> use = process_cpu_use();
  return use ? std::optional(use->seconds) : std::nullopt;
}

#endif

}  // namespace llmlocal
