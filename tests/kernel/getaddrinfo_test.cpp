// SPDX-License-Identifier: Apache-2.0
// Names that the C library resolves: the host's glibc, a copy of it in a chroot, and musl, whose
// library is the program interpreter and is mapped by the kernel alone.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support.h"
#include "this_kernel.h"

namespace cicd::test {

namespace {

#if defined(__x86_64__)
constexpr const char* kLoader = "/lib64/ld-linux-x86-64.so.2";
constexpr const char* kLibrary = "/lib/x86_64-linux-gnu/libc.so.6";
constexpr const char* kMusl = "/lib/ld-musl-x86_64.so.1";
#else
constexpr const char* kLoader = "/lib/ld-linux-aarch64.so.1";
constexpr const char* kLibrary = "/lib/aarch64-linux-gnu/libc.so.6";
constexpr const char* kMusl = "/lib/ld-musl-aarch64.so.1";
#endif

struct SeenName {
  cicd_sample_getaddrinfo fixed;
  std::string name;
  std::vector<std::string> addresses;
};

std::vector<SeenName> names(const Samples& samples) {
  std::vector<SeenName> out;
  using T = cicd_sample_getaddrinfo;
  for (const Seen& seen : samples.of(CICD_SAMPLE_GETADDRINFO)) {
    SeenName name{seen.fixed<T>(), seen.strings<T>({&T::name})[0].bytes, {}};
    for (std::uint32_t i = 0; i < std::min(name.fixed.address_count, 16u); ++i) {
      char text[INET6_ADDRSTRLEN] = {};
      ::inet_ntop(name.fixed.addresses[i].family, name.fixed.addresses[i].ip, text, sizeof(text));
      name.addresses.push_back(text);
    }
    out.push_back(std::move(name));
  }
  return out;
}

int resolve(const char* name, int family = AF_UNSPEC) {
  addrinfo hints{};
  hints.ai_family = family;
  addrinfo* found = nullptr;
  const int result = ::getaddrinfo(name, "80", &hints, &found);
  if (found != nullptr) ::freeaddrinfo(found);
  return result == 0 ? 0 : 1;
}

class ResolverHooks : public HookTest {
 protected:
  std::string compile(const char* compiler, const std::string& flags) {
    const std::string source = scratch() + "/resolve.c";
    std::ofstream(source) << "#include <netdb.h>\n#include <unistd.h>\n#include <stdlib.h>\n"
                             "int main(int n, char** v) {\n"
                             "  struct addrinfo* a;\n"
                             "  usleep(atoi(v[1]));\n"
                             "  if (getaddrinfo(v[2], \"80\", 0, &a)) return 1;\n"
                             "  return gethostbyname(v[2]) ? 0 : 2;\n}\n";
    const std::string program = scratch() + "/resolve";
    const std::string command =
        std::string(compiler) + " " + flags + " -o " + program + " " + source;
    return std::system(command.c_str()) == 0 ? program : "";
  }
  // Probes get in while the process runs, so somebody must be reading meanwhile.
  Samples observe_running(const Act& act) {
    const pid_t pid = start(&job(), act);
    Samples samples = collect_until_exit(pid);
    ::waitpid(pid, &status_, 0);
    return samples;
  }
  int status_ = -1;
  static std::size_t count_of(const std::vector<SeenName>& seen, std::string_view name) {
    return static_cast<std::size_t>(
        std::ranges::count_if(seen, [&](const SeenName& each) { return each.name == name; }));
  }
};

TEST_F(ResolverHooks, NamesAndAddressesOfTheHostsLibrary) {
  const auto seen = names(observe([] { return resolve("127.0.0.77", AF_INET); }));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].name, "127.0.0.77");
  EXPECT_EQ(seen[0].fixed.result, 0);
  ASSERT_EQ(seen[0].addresses, std::vector<std::string>{"127.0.0.77"})
      << "once, not for each type of socket";
  EXPECT_EQ(seen[0].fixed.header.cgroup_id, job().id());
}

TEST_F(ResolverHooks, AddressesOfTheNewFamily) {
  const auto seen = names(observe([] { return resolve("::1", AF_INET6); }));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].addresses, std::vector<std::string>{"::1"});
}

TEST_F(ResolverHooks, ANameThatIsNotThere) {
  const auto seen = names(observe([] {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST;
    addrinfo* found = nullptr;
    return ::getaddrinfo("no.such.name", nullptr, &hints, &found) == EAI_NONAME ? 0 : 1;
  }));
  EXPECT_EQ(finished().status, 0);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].name, "no.such.name");
  EXPECT_EQ(seen[0].fixed.result, EAI_NONAME);
  EXPECT_EQ(seen[0].fixed.address_count, 0u);
}

TEST_F(ResolverHooks, NoNameIsNoSample) {
  const auto seen = names(observe([] { return resolve(nullptr); }));
  EXPECT_TRUE(seen.empty());
}

TEST_F(ResolverHooks, TheOldCallToo) {
  const auto seen = names(observe([] {
    const hostent* found = ::gethostbyname("127.0.0.78");
    return found != nullptr && found->h_addrtype == AF_INET ? 0 : 1;
  }));
  EXPECT_EQ(finished().status, 0);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].name, "127.0.0.78");
  EXPECT_EQ(seen[0].addresses, std::vector<std::string>{"127.0.0.78"});
}

TEST_F(ResolverHooks, ALongNameIsCut) {
  const std::string name(300, 'a');
  const Samples samples = observe([&] { return resolve(name.c_str()) == 0 ? 1 : 0; });
  const auto seen = names(samples);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].name, std::string(255, 'a'));
  EXPECT_EQ(seen[0].fixed.name.flags, CICD_STRING_TRUNCATED);
}

TEST_F(ResolverHooks, ACopyOfTheLibraryInAChroot) {
  const std::string program = compile("gcc", "");
  ASSERT_FALSE(program.empty());
  const std::string root = scratch() + "/root";
  const auto copy = [&](const std::string& from, const std::string& to) {
    std::filesystem::create_directories(std::filesystem::path(root + to).parent_path());
    std::filesystem::copy_file(from, root + to);
  };
  copy(program, "/resolve");
  copy(kLoader, kLoader);
  copy(kLibrary, kLibrary);
  const Samples samples = observe_running([&] {
    if (::chroot(root.c_str()) != 0 || ::chdir("/") != 0) return 3;
    return exec("/resolve", {"resolve", "2000000", "127.0.0.79"});
  });
  EXPECT_EQ(status_, 0);
  ASSERT_EQ(samples.of(CICD_SAMPLE_LIBRARY).size(), 1u);
  const auto library = samples.of(CICD_SAMPLE_LIBRARY)[0];
  EXPECT_EQ(library.strings<cicd_sample_library>({&cicd_sample_library::path})[0].path(), kLibrary);
  EXPECT_EQ(count_of(names(samples), "127.0.0.79"), 2u) << "getaddrinfo and gethostbyname";
  EXPECT_EQ(without_recursion(*source().losses(kSlot)).total(), 0u);
}

TEST_F(ResolverHooks, TheLibraryOfMuslIsTheInterpreter) {
  const std::string program = compile("musl-gcc", "");
  if (program.empty()) GTEST_SKIP() << "needs musl-gcc (package musl-tools)";
  // A copy of its own, so that it is not one the host's probes are in already.
  const std::string library = scratch() + "/ld-musl-test.so.1";
  std::filesystem::copy_file(kMusl, library);
  const std::string other = compile("musl-gcc", "-Wl,--dynamic-linker=" + library);
  ASSERT_FALSE(other.empty());
  const Samples samples =
      observe_running([&] { return exec(other, {"resolve", "2000000", "127.0.0.80"}); });
  EXPECT_EQ(status_, 0);
  const auto seen = names(samples);
  ASSERT_EQ(count_of(seen, "127.0.0.80"), 2u);
  EXPECT_EQ(seen[0].addresses, std::vector<std::string>{"127.0.0.80"});
  EXPECT_EQ(seen[1].addresses, std::vector<std::string>{"127.0.0.80"});
}

TEST_F(ResolverHooks, AFileThatOnlyHasTheNameOfALibraryIsCounted) {
  const std::string library = scratch() + "/libc.so.6";
  std::ofstream(library) << "\x7f"
                            "ELF, and then nothing that makes sense"
                         << std::string(4096, 'x');
  observe_running([&] {
    const int fd = ::open(library.c_str(), O_RDONLY);
    return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED
               ? 1
               : ::usleep(300'000);
  });
  EXPECT_EQ(status_, 0);
  const auto all = source().losses(kSlot);
  ASSERT_TRUE(all);
  const LossReport losses = without_recursion(*all);
  ASSERT_EQ(losses.entries.size(), 1u);
  EXPECT_EQ(losses.entries[0].what, "library");
  EXPECT_EQ(losses.entries[0].reason, "not_probed");
  EXPECT_EQ(losses.entries[0].count, 1u);
}

}  // namespace

}  // namespace cicd::test
