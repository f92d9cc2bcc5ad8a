// SPDX-License-Identifier: Apache-2.0
// Requests before they are encrypted: real programs that use OpenSSL and GnuTLS talk to a server on
// loopback. With and without tls_capture.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "support.h"

namespace cicd::test {

namespace {

constexpr const char* kSecret = "hunter2";

struct SeenRequest {
  cicd_sample_http fixed;
  std::string method, path, host;
};

std::vector<SeenRequest> requests(const Samples& samples) {
  std::vector<SeenRequest> out;
  using T = cicd_sample_http;
  for (const Seen& seen : samples.of(CICD_SAMPLE_HTTP)) {
    EXPECT_EQ(seen.text().find(kSecret), std::string::npos);
    const auto strings = seen.strings<T>({&T::method, &T::path, &T::host});
    out.push_back({seen.fixed<T>(), strings[0].bytes, strings[1].bytes, strings[2].bytes});
  }
  return out;
}

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), size), 0);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(socket);
  return ntohs(address.sin_port);
}

bool accepts(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool ok = ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  ::close(socket);
  return ok;
}

class TlsHooks : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/tmp/cicd-tls-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    scratch_ = name;
    const std::string key =
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout " + scratch_ +
        "/key -out " + scratch_ + "/cert 2>/dev/null";
    ASSERT_EQ(std::system(key.c_str()), 0);
    port_ = free_port();
    server_ = start(nullptr, [&] {
      ::close(1);
      ::close(2);
      return exec("/usr/bin/openssl",
                  {"openssl", "s_server", "-quiet", "-www", "-key", scratch_ + "/key", "-cert",
                   scratch_ + "/cert", "-accept", "127.0.0.1:" + std::to_string(port_)});
    });
    for (int i = 0; i < 200 && !accepts(port_); ++i) ::usleep(20'000);
    LiveOptions options;
    options.tls_capture = GetParam();
    auto opened = LiveSource::open(options);
    ASSERT_TRUE(opened) << opened.error().text;
    source_ = std::move(*opened);
    job_ = Cgroup::below_own("cicd-tls");
    ASSERT_TRUE(source_->track_cgroup(job_->id(), kSlot));
    ASSERT_TRUE(source_->start_job_hooks());
  }
  void TearDown() override {
    if (source_) source_->stop_job_hooks();
    job_.reset();
    if (server_ > 0) {
      ::kill(server_, SIGKILL);
      ::waitpid(server_, nullptr, 0);
    }
    std::error_code ignored;
    if (!scratch_.empty()) std::filesystem::remove_all(scratch_, ignored);
  }
  Samples observe(const Act& act) {
    EXPECT_EQ(run(nullptr, act).status, 0) << "outside of the job";
    finished_ = run(job_.get(), act);
    Samples samples;
    for (int i = 0; i < 100 && samples.of(CICD_SAMPLE_EXIT, finished_.pid).empty(); ++i) {
      EXPECT_TRUE(source_->poll(std::chrono::milliseconds(50),
                                [&](SampleBytes bytes) { samples.add(bytes); }));
      source_->commit();
    }
    return samples;
  }
  std::string url() const {
    return "https://127.0.0.1:" + std::to_string(port_) + "/some/path?token=" + kSecret;
  }
  void expect(const Samples& samples, cicd_http_source source) {
    const auto seen = requests(samples);
    EXPECT_EQ(finished_.status, 0);
    if (!GetParam()) {
      EXPECT_TRUE(seen.empty());
      return;
    }
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].method, "GET");
    EXPECT_EQ(seen[0].path, "/some/path");
    EXPECT_EQ(seen[0].host, "127.0.0.1:" + std::to_string(port_));
    EXPECT_EQ(seen[0].fixed.source, source);
    EXPECT_EQ(seen[0].fixed.header.slot, kSlot);
  }

  std::string scratch_;
  int port_ = 0;
  pid_t server_ = 0;
  std::unique_ptr<LiveSource> source_;
  std::unique_ptr<Cgroup> job_;
  Finished finished_;
};

TEST_P(TlsHooks, OpenSsl) {
  expect(observe([&] {
           return exec("/usr/bin/curl", {"curl", "-sk", "--http1.1", "-o", "/dev/null", url()});
         }),
         CICD_HTTP_OPENSSL);
}

TEST_P(TlsHooks, GnuTls) {
  if (::access("/usr/bin/wget", X_OK) != 0) GTEST_SKIP() << "needs wget (package wget)";
  expect(observe([&] {
           return exec("/usr/bin/wget",
                       {"wget", "-q", "--no-check-certificate", "-O", "/dev/null", url()});
         }),
         CICD_HTTP_GNUTLS);
}

INSTANTIATE_TEST_SUITE_P(OnAndOff, TlsHooks, ::testing::Bool(),
                         [](const auto& each) { return each.param ? "On" : "Off"; });

}  // namespace

}  // namespace cicd::test
