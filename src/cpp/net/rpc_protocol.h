// The part of ggml's RPC protocol that must be known to stand between its two ends.
//
// A request is a command byte, the size of what follows as 64 bits, and so many bytes.  A reply is
// a size and so many bytes; not every command has one.  All numbers are little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

namespace llmlocal::rpc {

// The version that the numbers below belong to; they are private to ggml-rpc.cpp.  llama/rpc.cpp,
// which sees ggml's headers, does not compile with another version: compare its rpc_cmd and
// rpc_msg_*_rsp with what follows then, and raise these.
inline constexpr int kMajor = 7;
inline constexpr int kMinor = 0;
inline constexpr int kPatch = 0;

enum class Command : std::uint8_t {
  kAllocBuffer = 0,
  kGetAlignment = 1,
  kGetMaxSize = 2,
  kBufferGetBase = 3,
  kSetTensorHash = 7,
  kGetTensor = 8,
  kCopyTensor = 9,
  kGetDeviceMemory = 11,
  kGetAllocSize = 13,
  kHello = 14,
  kDeviceCount = 15,
};

#pragma pack(push, 1)
struct RequestHead {
  std::uint8_t command = 0;
  std::uint64_t size = 0;
};
struct Hello {
  std::uint8_t major = 0;
  std::uint8_t minor = 0;
  std::uint8_t patch = 0;
  std::uint8_t padding = 0;
  std::array<std::uint8_t, 24> transports{};  // All zero: plain TCP.
};
#pragma pack(pop)
constexpr std::size_t kHelloRequestSize = sizeof(Hello::transports);

// The size of the reply to a request; nullopt: it has none.  `tail` is the request's last 8 bytes.
inline std::optional<std::uint64_t> reply_size(Command command, std::uint64_t tail) {
  switch (command) {
    case Command::kAllocBuffer:
    case Command::kGetDeviceMemory:
      return 16;
    case Command::kGetAlignment:
    case Command::kGetMaxSize:
    case Command::kBufferGetBase:
    case Command::kGetAllocSize:
      return 8;
    case Command::kDeviceCount:
      return 4;
    case Command::kSetTensorHash:
    case Command::kCopyTensor:
      return 1;
    case Command::kHello:
      return sizeof(Hello);
    case Command::kGetTensor:
      return tail;  // It ends with how many bytes it asks for.
    default:
      return std::nullopt;
  }
}

// What keeps ggml from aborting when there is no server to ask: no memory, no devices, zeros.
// Longer replies go on with zeros.
inline std::array<std::uint8_t, 16> stand_in_reply(Command command) {
  std::array<std::uint8_t, 16> reply{};
  std::uint64_t number = 0;
  if (command == Command::kGetAlignment) number = 64;
  if (command == Command::kGetMaxSize) number = std::uint64_t{1} << 40;
  if (command == Command::kBufferGetBase) number = 4096;  // It must not be a null pointer.
  std::memcpy(reply.data(), &number, sizeof(number));
  return reply;
}

}  // namespace llmlocal::rpc
