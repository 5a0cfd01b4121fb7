#include "base/system_memory.h"

#include <fstream>
#include <iterator>
#include <string>

#ifdef __APPLE__
#include <mach/mach.h>
#include <sys/sysctl.h>
#elif defined(_WIN32)
#define NOMINMAX
#include <windows.h>
#endif

namespace llmlocal {
namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct CgroupFiles {
  const char* mount;
  const char* limit;
  const char* usage;
};

constexpr CgroupFiles files_of(CgroupVersion version) {
  if (version == CgroupVersion::kV2) return {"sys/fs/cgroup", "memory.max", "memory.current"};
  return {"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"};
}

}  // namespace

MemoryReading linux_memory(const std::filesystem::path& root) {
  MemoryReading reading = parse_meminfo(text_of(root / "proc/meminfo"));
  const auto group = parse_cgroup_path(text_of(root / "proc/self/cgroup"));
  if (!group) return reading;
  // Every group limits those below it.  Inside a container the path may be the one outside: what is
  // not there says nothing, and the last one, where the groups are mounted, is the container's own.
  const CgroupFiles files = files_of(group->version);
  const std::filesystem::path mount = root / files.mount;
  std::filesystem::path below = std::filesystem::path(group->path).relative_path();
  for (;;) {
    const std::filesystem::path folder = mount / below;
    const CgroupTexts texts{text_of(folder / files.limit),
                            text_of(folder / files.usage),
                            text_of(folder / "memory.stat")};
    reading = tighter(reading, parse_cgroup(group->version, texts));
    if (below.empty()) return reading;
    below = below.parent_path();
  }
}

MemoryReading system_memory() {
#ifdef __APPLE__
  MemoryReading reading;
  std::uint64_t total = 0;
  std::size_t size = sizeof(total);
  if (sysctlbyname("hw.memsize", &total, &size, nullptr, 0) == 0) reading.total = total;
  vm_statistics64_data_t pages{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  const auto host = mach_host_self();
  if (host_statistics64(host, HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages), &count) ==
      KERN_SUCCESS) {
    const std::uint64_t free = std::uint64_t{pages.free_count} + pages.inactive_count +
                               pages.speculative_count + pages.purgeable_count;
    reading.available = free * vm_kernel_page_size;
  }
  return tighter(reading, {});
#elif defined(_WIN32)
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof(status);
  if (!GlobalMemoryStatusEx(&status)) return {};
  return {status.ullTotalPhys, status.ullAvailPhys};
#else
  return linux_memory("/");
#endif
}

std::size_t free_memory() {
  return static_cast<std::size_t>(system_memory().available.value_or(0));
}

std::size_t total_memory() {
  return static_cast<std::size_t>(system_memory().total.value_or(0));
}

}  // namespace llmlocal
