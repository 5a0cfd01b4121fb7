// What the system says about its memory, taken from the texts in which Linux says it.
//
// Decisions only: nothing is read here, so that every kind of machine and container can be tested.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llmlocal {

// Bytes; nothing where it is not known.
struct MemoryReading {
  std::optional<std::uint64_t> total;
  // What can be taken now without anything being swapped out: files that the system keeps in memory
  // only to spare the disk are given up for it.
  std::optional<std::uint64_t> available;

  bool operator==(const MemoryReading&) const = default;
};

// /proc/meminfo.
MemoryReading parse_meminfo(std::string_view text);

// The two generations of control groups, which limit what a container may take.
enum class CgroupVersion { kV1, kV2 };

struct CgroupPath {
  CgroupVersion version = CgroupVersion::kV2;
  std::string path;  // Of this process, below the place where its groups are mounted; "/a/b".

  bool operator==(const CgroupPath&) const = default;
};

// The group that limits this process's memory, by /proc/self/cgroup; nothing: there is none.
std::optional<CgroupPath> parse_cgroup_path(std::string_view text);

// One group's files: its limit, what is used of it, and what that is made of.
struct CgroupTexts {
  std::string limit;
  std::string usage;
  std::string statistics;
};
MemoryReading parse_cgroup(CgroupVersion version, const CgroupTexts& texts);

// What holds where both do: the tighter of each.
MemoryReading tighter(const MemoryReading& a, const MemoryReading& b);

}  // namespace llmlocal
