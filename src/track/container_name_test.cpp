// SPDX-License-Identifier: Apache-2.0
#include "track/container_name.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace cicd {
namespace {

const std::string kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string kInner = "ffffffffffffffff0000000000000000ffffffffffffffff0000000000000000";

std::string shown(const std::string& path) {
  const ContainerName name = container_of_cgroup(path);
  return std::string(name.runtime) + ":" + std::string(name.id);
}

TEST(ContainerName, AsTheEnginesNameThem) {
  EXPECT_EQ(shown("/system.slice/docker-" + kId + ".scope"), "docker:" + kId);
  EXPECT_EQ(shown("/docker/" + kId), "docker:" + kId);
  EXPECT_EQ(shown("/docker/buildkit/k3xq9n7ah5q0j2l4m6r8t1v3z"),
            "buildkit:k3xq9n7ah5q0j2l4m6r8t1v3z");
  EXPECT_EQ(shown("/system.slice/docker.service/system.slice:docker:ea0191qh27w34vf4l85xpk1e5"),
            "buildkit:ea0191qh27w34vf4l85xpk1e5");
  EXPECT_EQ(shown("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/"
                  "cri-containerd-" +
                  kId + ".scope"),
            "containerd:" + kId);
  EXPECT_EQ(shown("/kubepods.slice/kubepods-pod1.slice/crio-" + kId + ".scope"), "cri-o:" + kId);
  EXPECT_EQ(shown("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId +
                  ".scope/container"),
            "podman:" + kId);
  EXPECT_EQ(shown("/libpod_parent/libpod-" + kId), "podman:" + kId);
  EXPECT_EQ(shown("/user.slice/nerdctl-" + kId + ".scope"), "containerd:" + kId);
  EXPECT_EQ(shown("/k8s.io/" + kId), "containerd:" + kId);
  EXPECT_EQ(shown("/default/web-1"), "containerd:web-1");
  EXPECT_EQ(shown("/lxc.payload.build-7/init.scope"), "lxc:build-7");
}

TEST(ContainerName, RuntimeStaysEmptyWhereThePathDoesNotTell) {
  EXPECT_EQ(shown("/kubepods/burstable/pod12/" + kId), ":" + kId);
  EXPECT_EQ(shown("/cicd-parent/" + kId), ":" + kId);
}

TEST(ContainerName, CgroupsInsideBelongToTheInnermostContainer) {
  EXPECT_EQ(shown("/docker/" + kId + "/init.scope"), "docker:" + kId);
  EXPECT_EQ(shown("/docker/" + kId + "/docker/" + kInner), "docker:" + kInner);
  EXPECT_EQ(shown("/kubepods/pod1/" + kId + "/system.slice/libpod-" + kInner + ".scope/x"),
            "podman:" + kInner);
}

TEST(ContainerName, WhatIsNone) {
  const std::string paths[] = {"",
                               "/",
                               "/docker",
                               "docker/" + kId,
                               "/system.slice/docker.service",
                               "/docker/" + kId.substr(1),
                               "/docker/" + kId + "0",
                               "/docker-" + kId.substr(1) + ".scope",
                               "/system.slice/libpod-conmon-" + kId + ".scope",
                               "/system.slice/crio-conmon-" + kId + ".scope",
                               "/a/default/web",
                               "/default/x.service",
                               "/default/a b",
                               "/docker/buildkit/short",
                               "/system.slice:docker:short",
                               "/docker:ea0191qh27w34vf4l85xpk1e5",
                               "/lxc.payload.",
                               "/cicd-sensor-run-1-2"};
  for (const std::string& path : paths) EXPECT_EQ(shown(path), ":") << path;
  std::string upper = "/docker/" + kId;
  upper.back() = 'F';
  EXPECT_EQ(shown(upper), ":");
}

TEST(ContainerName, HostileBytesStayInsideThePath) {
  std::minstd_rand random(7);  // NOLINT(cert-msc51-cpp): the same bytes each time
  const std::string letters = std::string("/docker-libpod.scope") + '\0' + "0af\xff";
  for (int i = 0; i < 20'000; ++i) {
    std::string path;
    for (std::size_t n = random() % 200; n > 0; --n) path += letters[random() % letters.size()];
    if (i % 3 == 0) path += "/docker/" + kId;
    const ContainerName name = container_of_cgroup(path);
    if (name.id.empty()) continue;
    EXPECT_GE(name.id.data(), path.data());
    EXPECT_LE(name.id.data() + name.id.size(), path.data() + path.size());
    EXPECT_EQ(name.id.find('/'), std::string_view::npos);
  }
}

}  // namespace
}  // namespace cicd
