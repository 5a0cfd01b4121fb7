#include "base/gguf_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <optional>

#include "base/errors.h"

namespace llmlocal {
namespace {

// The bounds are those of the Python reader (llmlocal/models/_gguf).
constexpr std::uint64_t kMostSettings = 1 << 16;
constexpr std::uint64_t kMostTensors = 1 << 17;
constexpr std::uint64_t kMostElements = 1 << 24;
constexpr std::uint64_t kLongestKey = (1 << 16) - 1;
constexpr std::uint64_t kLongestText = 1 << 24;
constexpr std::uint64_t kLongestName = 63;
constexpr std::uint64_t kLongestKeptText = 256;
constexpr std::uint64_t kMostDimensions = 4;
constexpr std::uint64_t kLongestHeader = 1 << 28;

constexpr std::uint32_t kText = 8;
constexpr std::uint32_t kArray = 9;

// Bytes of a scalar by GGUF's number for its type; 0: it is none.
constexpr std::array<std::uint8_t, 13> kScalarBytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
constexpr std::array<bool, 13> kIsSigned{
    false, true, false, true, false, true, false, false, false, false, false, true, false};
constexpr std::array<bool, 13> kIsFloat{
    false, false, false, false, false, false, true, false, false, false, false, false, true};

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : stream_(path, std::ios::binary) {
    if (!stream_) throw ModelLoadError("it can't be opened for reading");
  }

  void take(char* data, std::uint64_t size) {
    while (size > 0) {
      if (next_ == end_) fill();
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - next_));
      std::memcpy(data, buffer_.data() + next_, part);
      data += part;
      next_ += part;
      size -= part;
    }
  }

  void skip(std::uint64_t size) {
    while (size > 0) {
      if (next_ == end_) fill();
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - next_));
      next_ += part;
      size -= part;
    }
  }

  template <typename Number>
  Number number() {
    static_assert(std::endian::native == std::endian::little, "GGUF's numbers are little-endian");
    Number value{};
    take(reinterpret_cast<char*>(&value), sizeof(value));  // NOLINT(*-reinterpret-cast)
    return value;
  }

  std::uint64_t bounded(std::uint64_t most, const char* what) {
    return check(number<std::uint64_t>(), most, what);
  }

  static std::uint64_t check(std::uint64_t value, std::uint64_t most, const char* what) {
    if (value <= most) return value;
    throw ModelLoadError("it claims " + std::to_string(value) + " " + what + ", more than " +
                         std::to_string(most));
  }

  std::string text(std::uint64_t most) {
    std::string text(static_cast<std::size_t>(bounded(most, "bytes of one text")), '\0');
    take(text.data(), text.size());
    return text;
  }

 private:
  void fill() {
    stream_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    next_ = 0;
    end_ = static_cast<std::size_t>(stream_.gcount());
    read_ += end_;
    if (end_ == 0) throw ModelLoadError("it ends in the middle of its header");
    if (read_ > kLongestHeader) throw ModelLoadError("its header is longer than any model's");
  }

  std::ifstream stream_;
  std::vector<char> buffer_ = std::vector<char>(std::size_t{256} * 1024);
  std::size_t next_ = 0;
  std::size_t end_ = 0;
  std::uint64_t read_ = 0;
};

std::uint8_t scalar_bytes(std::uint32_t type) {
  const std::uint8_t bytes = type < kScalarBytes.size() ? kScalarBytes[type] : 0;
  if (bytes == 0) throw ModelLoadError("a setting has the unknown type " + std::to_string(type));
  return bytes;
}

// The scalar as a whole number; nullopt if it is none that fits.
std::optional<std::int64_t> read_scalar(Reader& reader, std::uint32_t type) {
  const std::uint8_t bytes = scalar_bytes(type);
  std::uint64_t value = 0;
  reader.take(reinterpret_cast<char*>(&value), bytes);  // NOLINT(*-reinterpret-cast)
  if (kIsFloat[type]) return std::nullopt;
  const unsigned spare = 64U - 8U * bytes;
  if (kIsSigned[type]) return static_cast<std::int64_t>(value << spare) >> spare;
  if (value > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

// The bytes of its longest text; 0 for an array of numbers.
std::uint64_t skip_array(Reader& reader) {
  const auto type = reader.number<std::uint32_t>();
  const std::uint64_t length = reader.bounded(kMostElements, "elements of an array");
  if (type != kText) {
    reader.skip(length * scalar_bytes(type));
    return 0;
  }
  std::uint64_t longest = 0;
  for (std::uint64_t i = 0; i < length; ++i) {
    const std::uint64_t bytes = reader.bounded(kLongestText, "bytes of one text");
    longest = std::max(longest, bytes);
    reader.skip(bytes);
  }
  return longest;
}

void read_setting(Reader& reader, GgufHeader& header) {
  std::string key = reader.text(kLongestKey);
  const auto type = reader.number<std::uint32_t>();
  if (type == kArray) {
    const std::uint64_t longest = skip_array(reader);
    if (key == "tokenizer.ggml.tokens") header.longest_token = longest;
  } else if (type == kText) {
    const std::uint64_t size = reader.bounded(kLongestText, "bytes of one text");
    if (size > kLongestKeptText) {
      reader.skip(size);
    } else {
      std::string text(static_cast<std::size_t>(size), '\0');
      reader.take(text.data(), size);
      header.texts[key] = std::move(text);
    }
  } else if (const auto number = read_scalar(reader, type)) {
    header.numbers[key] = *number;
  }
  header.keys.push_back(std::move(key));
}

GgufTensor read_tensor(Reader& reader) {
  GgufTensor tensor;
  tensor.name = reader.text(kLongestName);
  const std::uint64_t dimensions =
      Reader::check(reader.number<std::uint32_t>(), kMostDimensions, "dimensions of a tensor");
  for (std::uint64_t i = 0; i < dimensions; ++i) {
    tensor.shape.push_back(reader.number<std::uint64_t>());
  }
  tensor.type = reader.number<std::uint32_t>();
  reader.skip(sizeof(std::uint64_t));  // Where its weights are.
  return tensor;
}

}  // namespace

GgufHeader read_gguf_header(const std::filesystem::path& path) {
  Reader reader(path);
  std::array<char, 4> magic{};
  reader.take(magic.data(), magic.size());
  const auto version = reader.number<std::uint32_t>();
  if (version < 2 || version > 3) {
    throw ModelLoadError("version " + std::to_string(version) + " of the format is not supported");
  }
  const std::uint64_t tensors = reader.bounded(kMostTensors, "tensors");
  const std::uint64_t settings = reader.bounded(kMostSettings, "settings");
  GgufHeader header;
  for (std::uint64_t i = 0; i < settings; ++i) read_setting(reader, header);
  for (std::uint64_t i = 0; i < tensors; ++i) header.tensors.push_back(read_tensor(reader));
  return header;
}

}  // namespace llmlocal
