#include "llama/buffer_sizes.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace llmlocal {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

// "  12.50 MiB" -> its bytes; 0 for what is no such size.
std::size_t bytes_of(std::string_view size) {
  constexpr std::string_view kUnit = " MiB";
  constexpr std::size_t kLongest = 20;
  size = trimmed(size);
  if (!size.ends_with(kUnit) || size.size() > kLongest) return 0;
  const std::string number(size.substr(0, size.size() - kUnit.size()));
  if (number.find_first_not_of("0123456789.") != std::string::npos) return 0;
  constexpr double kMebibyte = 1024.0 * 1024.0;
  return static_cast<std::size_t>(std::strtod(number.c_str(), nullptr) * kMebibyte);
}

}  // namespace

// No regular expression: the log repeats what the file says of itself, at any length, and std's
// matcher recurses once per character.
BufferSizes told_buffer_sizes(const std::string& log) {
  constexpr std::string_view kSeparator = "; ";
  constexpr std::string_view kWords = "buffer size =";
  BufferSizes sizes;
  std::string_view rest = log;
  while (!rest.empty()) {
    const std::size_t end = rest.find(kSeparator);
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + kSeparator.size());
    const std::size_t words = line.find(kWords);
    if (words == std::string_view::npos) continue;
    const std::string_view name = trimmed(line.substr(0, words));
    const std::size_t bytes = bytes_of(line.substr(words + kWords.size()));
    if (bytes > 0) sizes[std::string(name.substr(0, name.find(' ')))] += bytes;
  }
  return sizes;
}

void add_sizes(BufferSizes& to, const BufferSizes& more) {
  for (const auto& [name, bytes] : more) to[name] += bytes;
}

std::size_t mapped_bytes(const BufferSizes& sizes) {
  std::size_t sum = 0;
  for (const auto& [name, bytes] : sizes) {
    if (name.find("_Mapped") != std::string::npos) sum += bytes;
  }
  return sum;
}

SequenceBytes told_sequence_bytes(const std::string& log) {
  // Caches for keys and values say "(cells, layers, sequences/streams)", recurrent ones "(cells,
  // layers, sequences ...)"; a model may have several of either.
  constexpr std::string_view kWords = "size = ";
  constexpr double kMebibyte = 1024.0 * 1024.0;
  SequenceBytes each;
  for (std::size_t at = log.find(kWords); at != std::string::npos; at = log.find(kWords, at + 1)) {
    double size = 0;
    unsigned cells = 0;
    unsigned layers = 0;
    unsigned sequences = 0;
    unsigned streams = 0;
    // What does not fit these words is told by how many numbers were found.
    // NOLINTNEXTLINE(bugprone-unchecked-string-to-number-conversion)
    const int found = std::sscanf(log.c_str() + at + kWords.size(),
                                  "%lf MiB (%u cells, %u layers, %u/%u seqs",
                                  &size,
                                  &cells,
                                  &layers,
                                  &sequences,
                                  &streams);
    if (found >= 5 && cells > 0 && streams > 0) {
      each.token += size * kMebibyte / cells / streams;
    } else if (found == 4 && sequences > 0) {
      each.state += size * kMebibyte / sequences;
    }
  }
  return each;
}

}  // namespace llmlocal
