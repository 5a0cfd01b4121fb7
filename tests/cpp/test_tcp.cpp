#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "net/tcp.h"

namespace llmlocal::testing {
namespace {

constexpr TimeLimit kPatience{20'000};
constexpr TimeLimit kMoment{50};
const std::string kHere = "127.0.0.1";

// Two ends of one connection.
struct Pair {
  TcpListener listener;
  TcpStream client = TcpStream::connect(kHere, listener.port(), kPatience);
  TcpStream server = listener.accept();
};

template <typename Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const TcpError& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("tcp: what is sent arrives, however much it is") {
  Pair pair;
  std::vector<char> sent(5'000'000);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 % 251);
  std::vector<char> received(sent.size());
  std::thread reader([&] { pair.server.receive(received.data(), received.size(), kPatience); });
  pair.client.send(sent.data(), sent.size(), kPatience);
  reader.join();
  CHECK(received == sent);
}

TEST_CASE("tcp: a peer that is silent is given up after the limit") {
  Pair pair;
  char byte = 0;
  CHECK(error_of([&] { pair.client.receive(&byte, 1, TimeLimit{100}); }) ==
        "no answer within 0.1 s");
}

TEST_CASE("tcp: a peer that does not read is given up after the limit") {
  Pair pair;
  const std::vector<char> much(64'000'000);
  CHECK(error_of([&] {
          pair.client.send(much.data(), much.size(), kMoment);
        }).starts_with("no answer within"));
}

TEST_CASE("tcp: a peer that hangs up is told from one that is silent") {
  Pair pair;
  {
    const TcpStream gone = std::move(pair.server);
  }
  char byte = 0;
  CHECK(error_of([&] { pair.client.receive(&byte, 1, kPatience); }) == "the connection was closed");
}

TEST_CASE("tcp: a port where nobody listens, and a host that is none") {
  std::uint16_t port = 0;
  {
    const TcpListener closed;
    port = closed.port();
  }
  CHECK(error_of([&] { TcpStream::connect(kHere, port, kPatience); }) == "connection refused");
  CHECK(error_of([&] { TcpStream::connect("nowhere.invalid", 1, kPatience); }) ==
        "there is no host nowhere.invalid");
}

TEST_CASE("tcp: a listener takes many clients at once") {
  TcpListener listener;
  constexpr int kClients = 8;
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      TcpStream stream = TcpStream::connect(kHere, listener.port(), kPatience);
      const char byte = static_cast<char>('a' + i);
      stream.send(&byte, 1, kPatience);
    });
  }
  std::string got;
  for (int i = 0; i < kClients; ++i) {
    TcpStream stream = listener.accept();
    char byte = 0;
    stream.receive(&byte, 1, kPatience);
    got += byte;
  }
  for (std::thread& client : clients) client.join();
  std::ranges::sort(got);
  CHECK(got == "abcdefgh");
}

}  // namespace
}  // namespace llmlocal::testing
