#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sys/resource.h>

#include <cstdio>
#endif

#include "net/rpc_protocol.h"
#include "net/rpc_relay.h"

namespace llmlocal::testing {
namespace {

using rpc::Command;

constexpr TimeLimit kPatience{20'000};
const RpcLimits kLimits{TimeLimit{2'000}, TimeLimit{500}};

// A relay lives as long as the process, as in use.
RpcRelay& new_relay(std::uint16_t server_port) {
  static auto* const relays = new std::vector<RpcRelay*>;                // NOLINT(*-owning-memory)
  relays->push_back(new RpcRelay({"127.0.0.1", server_port}, kLimits));  // NOLINT(*-owning-memory)
  return *relays->back();
}

struct Request {
  Command command{};
  std::string data;
};

Request receive_request(TcpStream& stream) {
  rpc::RequestHead head;
  stream.receive(&head, sizeof(head), kPatience);
  Request request{static_cast<Command>(head.command), std::string(head.size, '\0')};
  stream.receive(request.data.data(), request.data.size(), kPatience);
  return request;
}

void send_request(TcpStream& stream, Command command, const std::string& data) {
  const rpc::RequestHead head{static_cast<std::uint8_t>(command), data.size()};
  stream.send(&head, sizeof(head), kPatience);
  stream.send(data.data(), data.size(), kPatience);
}

void send_reply(TcpStream& stream, const std::string& data) {
  const std::uint64_t size = data.size();
  stream.send(&size, sizeof(size), kPatience);
  stream.send(data.data(), data.size(), kPatience);
}

std::string receive_reply(TcpStream& stream) {
  std::uint64_t size = 0;
  stream.receive(&size, sizeof(size), kPatience);
  std::string data(size, '\0');
  stream.receive(data.data(), data.size(), kPatience);
  return data;
}

void greet(TcpStream& client) {
  REQUIRE(receive_request(client).command == Command::kHello);
  rpc::Hello hello;
  hello.major = rpc::kMajor;
  hello.minor = rpc::kMinor;
  hello.patch = rpc::kPatch;
  send_reply(client, {reinterpret_cast<const char*>(&hello), sizeof(hello)});  // NOLINT
}

// Serves one client, that the relay is, as `serve` says.
class Server {
 public:
  explicit Server(std::function<void(TcpStream&)> serve)
      : thread_([this, serve = std::move(serve)] {
          TcpStream client = listener_.accept();
          try {
            greet(client);
            serve(client);
          } catch (const TcpError&) {  // NOLINT(bugprone-empty-catch): the relay hung up
          }
        }) {}
  ~Server() { thread_.join(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const { return listener_.port(); }

 private:
  TcpListener listener_;
  std::thread thread_;
};

TcpStream connect_to(const RpcRelay& relay) {
  const std::string endpoint = relay.endpoint();
  const auto port = std::stoi(endpoint.substr(endpoint.rfind(':') + 1));
  return TcpStream::connect("127.0.0.1", static_cast<std::uint16_t>(port), kPatience);
}

bool soon(const std::function<bool()>& fact) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!fact()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

const std::string kEight = "12345678";

TEST_CASE("relay: what the server answers reaches the client") {
  Server server([](TcpStream& client) {
    for (int i = 0; i < 3; ++i) {
      CHECK(receive_request(client).data == "which?");
      send_reply(client, kEight);
    }
  });
  RpcRelay& relay = new_relay(server.port());
  TcpStream client = connect_to(relay);
  for (int i = 0; i < 3; ++i) {
    send_request(client, Command::kGetAlignment, "which?");
    CHECK(receive_reply(client) == kEight);
  }
  CHECK(relay.is_connected());
  CHECK(relay.losses() == 0);
}

TEST_CASE("relay: a large tensor passes in parts") {
  const std::string tensor(3'000'000, 'x');
  Server server([&](TcpStream& client) {
    receive_request(client);
    send_reply(client, tensor);
  });
  TcpStream client = connect_to(new_relay(server.port()));
  const std::uint64_t size = tensor.size();
  send_request(client,
               Command::kGetTensor,
               std::string(20, '?') +
                   std::string(reinterpret_cast<const char*>(&size), sizeof(size)));  // NOLINT
  CHECK(receive_reply(client) == tensor);
}

TEST_CASE("relay: the client goes on with stand-in answers once the server is lost") {
  const std::vector<std::function<void(TcpStream&)>> ways = {
      [](TcpStream&) {},                                   // Hangs up at once.
      [](TcpStream& client) { receive_request(client); },  // Hangs up when asked.
      [](TcpStream& client) {                              // Answers nonsense.
        receive_request(client);
        send_reply(client, "no");
      },
      [](TcpStream& client) {  // Is silent for longer than the limit.
        receive_request(client);
        char byte = 0;
        client.receive(&byte, 1, kPatience);
      },
  };
  for (std::size_t i = 0; i < ways.size(); ++i) {
    CAPTURE(i);
    Server server(ways[i]);
    RpcRelay& relay = new_relay(server.port());
    TcpStream client = connect_to(relay);
    for (int ask = 0; ask < 3; ++ask) {
      send_request(client, Command::kGetAlignment, "");
      CHECK(receive_reply(client) == std::string("\x40\0\0\0\0\0\0\0", 8));
    }
    CHECK(relay.losses() == 1);
    CHECK_FALSE(relay.last_loss().empty());
  }
}

TEST_CASE("relay: a client that hangs up is no loss, and leaves no connection behind") {
  Server server([](TcpStream& client) { receive_request(client); });
  RpcRelay& relay = new_relay(server.port());
  {
    const TcpStream client = connect_to(relay);
    CHECK(soon([&] { return relay.is_connected(); }));
  }
  CHECK(soon([&] { return !relay.is_connected(); }));
  CHECK_FALSE(relay.is_broken());
}

TEST_CASE("relay: it counts the server's devices, or says what is wrong with it") {
  {
    Server server([](TcpStream& client) {
      receive_request(client);
      send_reply(client, std::string("\x02\0\0\0", 4));
    });
    CHECK(new_relay(server.port()).count_devices() == 2);
  }
  std::uint16_t nobody = 0;
  {
    const TcpListener closed;
    nobody = closed.port();
  }
  CHECK_THROWS_WITH_AS(new_relay(nobody).count_devices(), "connection refused", TcpError);
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

// No new thread can have its stack while one lives.
class NoRoomForThreads {
 public:
  NoRoomForThreads() {
    getrlimit(RLIMIT_AS, &before_);
    long pages = 0;
    std::FILE* const file = std::fopen("/proc/self/statm", "r");
    REQUIRE(std::fscanf(file, "%ld", &pages) == 1);
    std::fclose(file);
    const rlimit now{static_cast<rlim_t>(pages) * 4096 + 1'000'000, before_.rlim_max};
    setrlimit(RLIMIT_AS, &now);
  }
  ~NoRoomForThreads() { setrlimit(RLIMIT_AS, &before_); }
  NoRoomForThreads(const NoRoomForThreads&) = delete;
  NoRoomForThreads& operator=(const NoRoomForThreads&) = delete;

 private:
  rlimit before_{};
};

TEST_CASE("relay: a client for whom no thread can be started is not counted") {
  const TcpListener server;
  RpcRelay& relay = new_relay(server.port());
  TcpStream client = [&] {
    const NoRoomForThreads scarce;
    TcpStream stream = connect_to(relay);
    CHECK(soon([&] { return relay.losses() == 1; }));
    return stream;
  }();
  CHECK_FALSE(relay.is_connected());
}

#endif

}  // namespace
}  // namespace llmlocal::testing
