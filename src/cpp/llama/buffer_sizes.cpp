#include "llama/buffer_sizes.h"

#include <regex>

namespace llmlocal {

BufferSizes told_buffer_sizes(const std::string& log) {
  static const std::regex line(R"((\S+)\s+(?:\w+ )*buffer size =\s*([0-9.]+) MiB)");
  constexpr double kMebibyte = 1024.0 * 1024.0;
  BufferSizes sizes;
  for (std::sregex_iterator each(log.begin(), log.end(), line), end; each != end; ++each) {
    sizes[(*each)[1]] += static_cast<std::size_t>(std::stod((*each)[2]) * kMebibyte);
  }
  return sizes;
}

void add_sizes(BufferSizes& to, const BufferSizes& more) {
  for (const auto& [name, bytes] : more) to[name] += bytes;
}

}  // namespace llmlocal
