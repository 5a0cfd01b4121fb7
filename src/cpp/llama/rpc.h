// Remote devices, by ggml's RPC backend: any number of servers, each with its relay.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "llama/devices.h"
#include "net/rpc_relay.h"

namespace llmlocal {

// The devices of a server, as they are now.  Throws DeviceError if it does not answer, is no such
// server or of another version, within RpcLimits::connect for each wait.
std::vector<DeviceInfo> rpc_devices(const RpcAddress& server, const RpcLimits& limits);

// Offers the devices of these names to clients on host:port, for as long as the process lives, one
// client at a time.  Throws DeviceError if it can't.
void serve_rpc(const RpcAddress& address, int threads, const std::vector<std::string>& names);

// Tells whether a server was lost since this was made.
class RpcWatch {
 public:
  RpcWatch() = default;
  // Throws DeviceError if the server of one of these devices is lost already.
  explicit RpcWatch(const std::vector<std::string>& device_names);

  // What happened, for an error message; nullopt: nothing.  Cheap.
  std::optional<std::string> loss() const;

 private:
  struct Watched {
    const RpcRelay* relay;
    std::uint64_t losses_before;
  };
  std::vector<Watched> watched_;
};

// The user's name for a buffer or device of a relay's: puts the server's address for the relay's.
std::string with_server_names(std::string text);

}  // namespace llmlocal
