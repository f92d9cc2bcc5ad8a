// SPDX-License-Identifier: Apache-2.0
#include "egress/dns_redirect.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include "egress/network_namespace.h"

namespace cicd {
namespace {

using State = DnsRedirect::State;

constexpr std::uint16_t kPort = 25'399;

// The real nft, in a network namespace of the test.
class DnsRedirectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    nft_ = DnsRedirect::find_nft();
    if (nft_.empty()) GTEST_SKIP() << "nft is missing; run: make deps";
    std::thread([&] {
      if (::unshare(CLONE_NEWNET) != 0) return;
      netns_ = UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    }).join();
    if (!netns_) GTEST_SKIP() << "network namespaces need root";
  }
  UniqueFd netns() const { return UniqueFd(::fcntl(netns_.get(), F_DUPFD_CLOEXEC, 0)); }
  std::unique_ptr<DnsRedirect> start(const std::string& nft) const {
    auto out = DnsRedirect::start(nft, netns(), kPort);
    EXPECT_TRUE(out) << out.error().text;
    return out ? std::move(*out) : nullptr;
  }
  static State settled(DnsRedirect& redirect) {
    const auto end = std::chrono::steady_clock::now() + 2 * DnsRedirect::kPatience;
    while (redirect.advance() == State::kPutting && std::chrono::steady_clock::now() < end) {
      pollfd talk{redirect.fd(), POLLIN, 0};
      ::poll(&talk, 1, 100);
    }
    return redirect.state();
  }
  // A table that is there; null: it did not come to be.
  std::unique_ptr<DnsRedirect> put(const std::string& nft) const {
    auto out = start(nft);
    if (!out) return nullptr;
    EXPECT_EQ(settled(*out), State::kThere);
    return out->state() == State::kThere ? std::move(out) : nullptr;
  }
  // What nft says in the namespace.
  std::string nft(const std::string& words) const {
    std::string out;
    const auto work = [&]() -> Result<> {
      FILE* const pipe = ::popen((nft_ + " '" + words + "' 2>&1").c_str(), "re");
      std::array<char, 4096> part;
      while (std::fgets(part.data(), part.size(), pipe) != nullptr) out += part.data();
      ::pclose(pipe);
      return {};
    };
    EXPECT_TRUE(within_netns(netns_.get(), work));
    return out;
  }
  static std::size_t count(const std::string& text, const std::string& what) {
    std::size_t out = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++out;
    return out;
  }

  std::string nft_;
  UniqueFd netns_;
};

TEST_F(DnsRedirectTest, NobodyElseTakesItAway) {
  auto redirect = put(nft_);
  ASSERT_TRUE(redirect);
  const std::string listed = nft("list ruleset");
  EXPECT_EQ(count(listed, "flags owner"), 1u) << listed;
  EXPECT_EQ(count(listed, "dport 53 redirect to :25399"), 2u) << listed;
  EXPECT_EQ(nft("flush ruleset"), "");
  EXPECT_NE(nft("delete table inet cicd_sensor"), "");
  EXPECT_NE(nft("flush table inet cicd_sensor"), "");
  EXPECT_EQ(nft("list ruleset"), listed);
  EXPECT_EQ(redirect->advance(), State::kThere);
  redirect.reset();
  EXPECT_EQ(nft("list ruleset"), "");
}

// Of a sensor that was killed on a kernel without owners, or the job's own.
TEST_F(DnsRedirectTest, ATableOfThatNameIsReplaced) {
  nft("table inet cicd_sensor { chain output { type nat hook output priority -101; udp dport 53 "
      "redirect to :9; }; chain more { }; }");
  auto redirect = put(nft_);
  ASSERT_TRUE(redirect);
  const std::string listed = nft("list ruleset");
  EXPECT_EQ(count(listed, "redirect to"), 2u) << listed;
  EXPECT_EQ(count(listed, "more"), 0u) << listed;
}

TEST_F(DnsRedirectTest, ATableOfThatNameThatIsSomebodyElsesMakesItFail) {
  auto first = put(nft_);
  ASSERT_TRUE(first);
  auto second = start(nft_);
  ASSERT_TRUE(second);
  EXPECT_EQ(settled(*second), State::kFailed);
  EXPECT_EQ(first->advance(), State::kThere);
}

// An nft of before 0.9.9, or a kernel of before 5.12, refuses the flag: the real one does when the
// word is another.
TEST_F(DnsRedirectTest, WithoutOwnersItIsAPlainTable) {
  const std::string path =
      ::testing::TempDir() + "nft-without-owners-" + std::to_string(::getpid());
  std::ofstream(path) << "#!/bin/sh\nsed -u 's/flags owner/flags unheard_of/' | " << nft_
                      << " -i\n";
  ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
  auto redirect = put(path);
  ASSERT_TRUE(redirect);
  const std::string listed = nft("list ruleset");
  EXPECT_EQ(count(listed, "flags owner"), 0u) << listed;
  EXPECT_EQ(count(listed, "dport 53 redirect to :25399"), 2u) << listed;
  redirect.reset();
  EXPECT_EQ(nft("list ruleset"), "");
  ::unlink(path.c_str());
}

TEST_F(DnsRedirectTest, AnNftThatDoesNotWorkIsAFailure) {
  EXPECT_FALSE(DnsRedirect::start("/nonexistent/nft", netns(), kPort));
  auto redirect = start("/bin/false");
  ASSERT_TRUE(redirect);
  EXPECT_EQ(settled(*redirect), State::kFailed);
}

// It waits for input for ever, and for no words of ours.
TEST_F(DnsRedirectTest, AnNftThatSaysNothingIsGivenUp) {
  const std::string path = ::testing::TempDir() + "nft-that-is-slow-" + std::to_string(::getpid());
  std::ofstream(path) << "#!/bin/sh\nexec sleep 60\n";
  ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
  auto redirect = start(path);
  ASSERT_TRUE(redirect);
  EXPECT_EQ(settled(*redirect), State::kFailed);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace cicd
