#include "base/memory_reading.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace llmlocal {
namespace {

constexpr std::string_view kSpace = " \t\n";

// Calls `use` with each line, until it returns true.
template <typename Use>
void for_each_line(std::string_view text, Use&& use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (use(text.substr(0, end))) return;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// The number that the text begins with, after space.  Nothing for "max".
std::optional<std::uint64_t> number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// The number after `name` in the line that begins with it.
std::optional<std::uint64_t> field(std::string_view text, std::string_view name) {
  std::optional<std::uint64_t> value;
  for_each_line(text, [&](std::string_view line) {
    if (!line.starts_with(name)) return false;
    const std::string_view rest = line.substr(name.size());
    if (rest.empty() || kSpace.find(rest.front()) == std::string_view::npos) return false;
    value = number(rest);
    return true;
  });
  return value;
}

std::optional<std::uint64_t> least(const std::optional<std::uint64_t>& a,
                                   const std::optional<std::uint64_t>& b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

MemoryReading parse_meminfo(std::string_view text) {
  const auto bytes = [&](std::string_view name) {
    std::optional<std::uint64_t> kibibytes = field(text, name);
    if (kibibytes) *kibibytes *= 1024;
    return kibibytes;
  };
  MemoryReading reading{bytes("MemTotal:"), bytes("MemAvailable:")};
  // Kernels before 3.14 don't say.
  if (!reading.available) reading.available = bytes("MemFree:");
  return reading;
}

std::optional<CgroupPath> parse_cgroup_path(std::string_view text) {
  std::optional<CgroupPath> found;
  // Lines are "number:controllers:path".  Where both generations are mounted, it is the first that
  // has the memory if it says so.
  for_each_line(text, [&](std::string_view line) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) return false;
    const std::string controllers = "," + std::string(line.substr(first + 1, second - first - 1));
    const std::string path(line.substr(second + 1));
    if ((controllers + ",").find(",memory,") != std::string::npos) {
      found = {CgroupVersion::kV1, path};
      return true;
    }
    if (controllers == ",") found = {CgroupVersion::kV2, path};
    return false;
  });
  return found;
}

MemoryReading parse_cgroup(CgroupVersion version, const CgroupTexts& texts) {
  const std::optional<std::uint64_t> limit = number(texts.limit);
  const std::optional<std::uint64_t> usage = number(texts.usage);
  if (!limit) return {};
  if (!usage) return {limit, std::nullopt};
  const std::string of_all = version == CgroupVersion::kV1 ? "total_" : "";
  std::uint64_t files = 0;
  for (const char* name : {"active_file", "inactive_file"}) {
    files += field(texts.statistics, of_all + name).value_or(0);
  }
  const std::uint64_t taken = *usage - std::min(files, *usage);
  return {limit, *limit - std::min(taken, *limit)};
}

MemoryReading tighter(const MemoryReading& a, const MemoryReading& b) {
  MemoryReading both{least(a.total, b.total), least(a.available, b.available)};
  if (both.available) both.available = least(both.available, both.total);
  return both;
}

}  // namespace llmlocal
