#include "llama/rpc.h"

#include <ggml-backend.h>
#include <ggml-rpc.h>

#include <map>
#include <memory>
#include <mutex>

#include "base/errors.h"
#include "llama/backend.h"
#include "llama/guard.h"
#include "net/rpc_protocol.h"

namespace llmlocal {
namespace {

static_assert(RPC_PROTO_MAJOR_VERSION == rpc::kMajor && RPC_PROTO_MINOR_VERSION == rpc::kMinor &&
                  RPC_PROTO_PATCH_VERSION == rpc::kPatch,
              "ggml speaks another version of its protocol than net/rpc_protocol.h");

// The RPC backend may be a plugin, so its functions are asked for by name.
template <typename Function>
Function* rpc_function(const char* name) {
  const RegistryUse use;
  ggml_backend_reg_t backend = ggml_backend_reg_by_name("RPC");
  void* address = backend ? ggml_backend_reg_get_proc_address(backend, name) : nullptr;
  if (!address) throw DeviceError("this installation has no RPC backend");
  return reinterpret_cast<Function*>(address);  // NOLINT(*-reinterpret-cast)
}

class Servers {
 public:
  RpcRelay& relay_to(const RpcAddress& server, const RpcLimits& limits) {
    const std::lock_guard lock(mutex_);
    RpcRelay*& relay = relays_[server.text()];
    if (!relay) relay = new RpcRelay(server, limits);  // NOLINT(*-owning-memory)
    return *relay;
  }

  void keep(const std::string& device, const RpcRelay& relay) {
    const std::lock_guard lock(mutex_);
    by_device_[device] = &relay;
  }

  const RpcRelay* of_device(const std::string& device) const {
    const std::lock_guard lock(mutex_);
    const auto found = by_device_.find(device);
    return found == by_device_.end() ? nullptr : found->second;
  }

  std::vector<const RpcRelay*> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<const RpcRelay*> relays;
    relays.reserve(relays_.size());
    for (const auto& [address, relay] : relays_) relays.push_back(relay);
    return relays;
  }

 private:
  mutable std::mutex mutex_;                          // Guards what follows.
  std::map<std::string, RpcRelay*> relays_;           // By the server's address.
  std::map<std::string, const RpcRelay*> by_device_;  // By the device's name.
};

Servers& servers() {
  static auto* const the_servers = new Servers;  // NOLINT(*-owning-memory): as the relays
  return *the_servers;
}

DeviceError unreachable(const RpcAddress& server, const std::string& why) {
  return DeviceError{"the RPC server " + server.text() + " can't be used: " + why};
}

std::string told_loss(const RpcRelay& relay) {
  return "the RPC server " + relay.server().text() + " was lost: " + relay.last_loss();
}

// Throws DeviceError, before ggml hears of a server that it would abort for.
void probe(const RpcRelay& relay) {
  if (relay.is_broken()) {
    throw DeviceError(told_loss(relay) + "; close the models that use it, then try again");
  }
  if (relay.is_connected()) return;  // Busy with us.
  try {
    if (relay.count_devices() == 0) throw unreachable(relay.server(), "it has no devices");
  } catch (const TcpError& error) {
    throw unreachable(relay.server(), error.what());
  }
}

}  // namespace

std::vector<DeviceInfo> rpc_devices(const RpcAddress& server, const RpcLimits& limits) {
  RpcRelay& relay = servers().relay_to(server, limits);
  probe(relay);
  const std::uint64_t losses_before = relay.losses();
  std::vector<DeviceInfo> devices = guarded("listing remote devices", [&] {
    auto* add_server =
        rpc_function<decltype(ggml_backend_rpc_add_server)>("ggml_backend_rpc_add_server");
    // These ask the server, which may take until it is given up: nobody else waits for that.
    ggml_backend_reg_t backend = add_server(relay.endpoint().c_str());
    std::vector<DeviceInfo> found;
    if (!backend) return found;
    for (std::size_t i = 0; i < ggml_backend_reg_dev_count(backend); ++i) {
      found.push_back(describe_device(ggml_backend_reg_dev_get(backend, i)));
      found.back().description = server.text();
      servers().keep(found.back().name, relay);
    }
    const RegistryChange change;
    ggml_backend_register(backend);
    return found;
  });
  if (relay.losses() != losses_before || devices.empty()) {
    throw unreachable(server, relay.last_loss());
  }
  return devices;
}

void serve_rpc(const RpcAddress& address, int threads, const std::vector<std::string>& names) {
  std::vector<ggml_backend_dev_t> devices = find_devices(names);
  guarded("serving", [&] {
    auto* serve =
        rpc_function<decltype(ggml_backend_rpc_start_server)>("ggml_backend_rpc_start_server");
    serve(address.text().c_str(),
          nullptr,
          static_cast<std::size_t>(threads),
          devices.size(),
          devices.data());
  });
  // It serves until the process ends, unless it could not begin.
  throw DeviceError("can't listen on " + address.text() +
                    ": the port is taken, or the address is none of this machine's");
}

RpcWatch::RpcWatch(const std::vector<std::string>& device_names) {
  for (const std::string& name : device_names) {
    const RpcRelay* relay = servers().of_device(name);
    if (!relay) continue;
    watched_.push_back({relay, relay->losses()});
    probe(*relay);
  }
}

std::optional<std::string> RpcWatch::loss() const {
  for (const Watched& each : watched_) {
    if (each.relay->losses() != each.losses_before) return told_loss(*each.relay);
  }
  return std::nullopt;
}

std::string with_server_names(std::string text) {
  for (const RpcRelay* relay : servers().all()) {
    const std::string endpoint = relay->endpoint();
    for (std::size_t at = text.find(endpoint); at != std::string::npos; at = text.find(endpoint)) {
      text.replace(at, endpoint.size(), relay->server().text());
    }
  }
  return text;
}

}  // namespace llmlocal
