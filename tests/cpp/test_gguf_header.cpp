#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/errors.h"
#include "base/gguf_header.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

// Builds the bytes of a header.
class Bytes {
 public:
  template <typename Number>
  Bytes& number(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));  // NOLINT
    return *this;
  }
  Bytes& text(const std::string& value) {
    number(std::uint64_t{value.size()});
    bytes_ += value;
    return *this;
  }
  Bytes& head(std::uint64_t tensors, std::uint64_t settings, std::uint32_t version = 3) {
    bytes_ += "GGUF";
    return number(version).number(tensors).number(settings);
  }
  Bytes& tensor(const std::string& name, std::vector<std::uint64_t> shape, std::uint32_t type) {
    text(name).number(static_cast<std::uint32_t>(shape.size()));
    for (const std::uint64_t length : shape) number(length);
    return number(type).number(std::uint64_t{0});
  }
  const std::string& get() const { return bytes_; }

 private:
  std::string bytes_;
};

constexpr std::uint32_t kU8 = 0;
constexpr std::uint32_t kI16 = 3;
constexpr std::uint32_t kFloat = 6;
constexpr std::uint32_t kText = 8;
constexpr std::uint32_t kArray = 9;
constexpr std::uint32_t kU64 = 10;

GgufHeader parse(const std::string& bytes) {
  const auto path = std::filesystem::temp_directory_path() / "llmlocal-test-header.gguf";
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
  return read_gguf_header(path);
}

std::string honest() {
  Bytes bytes;
  bytes.head(2, 6);
  bytes.text("general.architecture").number(kText).text("llama");
  bytes.text("llama.block_count").number(kU8).number(std::uint8_t{200});
  bytes.text("llama.shift").number(kI16).number(std::int16_t{-3});
  bytes.text("llama.eps").number(kFloat).number(1.5F);
  bytes.text("llama.huge").number(kU64).number(~std::uint64_t{0});
  bytes.text("tokens").number(kArray).number(kText).number(std::uint64_t{2});
  bytes.text("a").text(std::string(300'000, 'b'));
  bytes.tensor("blk.0.x", {64, 3}, 2).tensor("norm", {}, 0);
  return bytes.get();
}

TEST_CASE("header: what an honest file says") {
  const GgufHeader header = parse(honest());
  CHECK(header.keys.size() == 6);
  CHECK(header.texts.at("general.architecture") == "llama");
  CHECK(header.numbers.at("llama.block_count") == 200);
  CHECK(header.numbers.at("llama.shift") == -3);
  CHECK(header.numbers.size() == 2);  // Not what is no whole number, or too large.
  REQUIRE(header.tensors.size() == 2);
  CHECK(header.tensors[0].name == "blk.0.x");
  CHECK(header.tensors[0].shape == std::vector<std::uint64_t>{64, 3});
  CHECK(header.tensors[0].type == 2);
  CHECK(header.tensors[1].shape.empty());
}

TEST_CASE("header: what claims more than any model has is refused before it is read") {
  const auto reason_of = [](const Bytes& bytes) -> std::string {
    try {
      parse(bytes.get());
    } catch (const ModelLoadError& error) {
      return error.what();
    }
    return "";
  };
  const std::uint64_t huge = std::uint64_t{1} << 62U;
  CHECK(reason_of(Bytes().head(huge, 0)).find("tensors") != std::string::npos);
  CHECK(reason_of(Bytes().head(0, huge)).find("settings") != std::string::npos);
  CHECK(reason_of(Bytes().head(0, 0, 9)).find("version 9") != std::string::npos);
  CHECK(reason_of(Bytes().head(0, 1).number(huge)).find("bytes of one text") != std::string::npos);
  CHECK(reason_of(Bytes().head(0, 1).text("k").number(kText).number(huge)).find("more than") !=
        std::string::npos);
  CHECK(reason_of(Bytes().head(0, 1).text("k").number(kArray).number(kU8).number(huge))
            .find("elements") != std::string::npos);
  CHECK(reason_of(Bytes().head(0, 1).text("k").number(kArray).number(kArray).number(huge >> 50U))
            .find("unknown type 9") != std::string::npos);
  CHECK(reason_of(Bytes().head(0, 1).text("k").number(std::uint32_t{77})).find("type 77") !=
        std::string::npos);
  CHECK(reason_of(Bytes().head(1, 0).text("t").number(std::uint32_t{99})).find("dimensions") !=
        std::string::npos);
  CHECK(reason_of(Bytes().head(1, 0)).find("in the middle") != std::string::npos);
}

TEST_CASE("header: any bytes are a header or an error") {
  const std::string original = honest();
  for_random_cases(300, [&](Random& random) {
    std::string bytes = original.substr(0, 300);
    const int changes = random.between(1, 4);
    for (int i = 0; i < changes; ++i) {
      bytes[static_cast<std::size_t>(random.between(8, 299))] =
          static_cast<char>(random.between(0, 255));
    }
    try {
      static_cast<void>(parse(bytes));
    } catch (const ModelLoadError& error) {
      CHECK(std::strlen(error.what()) > 0);
    }
  });
}

}  // namespace
}  // namespace llmlocal::testing
