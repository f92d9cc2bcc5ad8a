// SPDX-License-Identifier: Apache-2.0
#include "job/sensitive_files.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace cicd {
namespace {

TEST(SensitiveFiles, KindsOfWellKnownFiles) {
  const std::pair<const char*, const char*> kCases[] = {
      {"/home/u/.npmrc", "npm token"},
      {"/work/x/.npmrc", "npm token"},
      {"/root/.pypirc", "pypi token"},
      {"/home/u/.aws/credentials", "aws credentials"},
      {"/root/.aws/sso/cache/abc.json", "aws credentials"},
      {"/root/.config/gcloud/application_default_credentials.json", "gcp credentials"},
      {"/root/.config/gcloud/legacy_credentials/me@x/adc.json", "gcp credentials"},
      {"/home/u/.azure/msal_token_cache.json", "azure credentials"},
      {"/root/.docker/config.json", "registry credentials"},
      {"/root/.kube/config", "kubernetes credentials"},
      {"/run/secrets/kubernetes.io/serviceaccount/token", "kubernetes token"},
      {"/run/secrets/db", "mounted secret"},
      {"/home/u/.ssh/id_ed25519", "ssh key"},
      {"/etc/ssh/ssh_host_rsa_key", "ssh host key"},
      {"/home/u/.gnupg/private-keys-v1.d/AB.key", "gpg key"},
      {"/home/u/.git-credentials", "git credentials"},
      {"/etc/shadow", "password hashes"},
      {"/srv/app/.env", "environment file"},
      {"/srv/app/.env.test.local", "environment file"},
      {"/root/.vault-token", "vault token"},
      {"/root/.netrc", "netrc credentials"},
      {"/home/u/Login Data", "browser passwords"},
  };
  for (const auto& [path, kind] : kCases) EXPECT_EQ(sensitive_kind(path), kind) << path;
}

// The table is looked up by parts of a path; none of its patterns may be out of reach.
TEST(SensitiveFiles, EveryPatternIsFound) {
  for (const SensitivePattern& entry : sensitive_patterns()) {
    std::string path(entry.pattern.starts_with('/') ? "" : "/home/u/");
    for (const char c : entry.pattern) c == '*' ? path.append("ab") : path.append(1, c);
    EXPECT_EQ(sensitive_kind(path), entry.kind) << path;
  }
}

TEST(SensitiveFiles, LooksAlikeButIsNot) {
  for (const char* path : {
           "",
           "/",
           "/home/u/xnpmrc",
           "/home/u/.npmrc.bak",
           "/home/u/.npmrc/",
           "/home/.npmrc/x",
           "/etc/shadow.d/x",
           "/x/etc/shadow",
           "/home/u/credentials",
           "/home/u/x.aws/credentials",
           "/home/u/.ssh/id_rsa.pub",
           "/home/u/.ssh/known_hosts",
           "/home/u/.ssh/sub/id_rsa",
           "/run/secrets/a/b",
           "/usr/lib/libc.so.6",
           "/home/u/.environment",
           ".ssh",
           "/etc/ssh/ssh_host_rsa_key.pub",
           "/etc/ssh/ssh_host_a/b_key",
       }) {
    EXPECT_EQ(sensitive_kind(path), "") << path;
  }
}

// A pattern that an earlier one always hides would be dead text.
TEST(SensitiveFiles, EveryPatternCanMatch) {
  for (const SensitivePattern& entry : sensitive_patterns()) {
    std::string path(entry.pattern);
    for (std::size_t at = 0; (at = path.find('*', at)) != std::string::npos; at += 2) {
      path.replace(at, 1, "zz");
    }
    if (!path.starts_with('/')) path.insert(0, "/home/u/");
    EXPECT_EQ(sensitive_kind(path), entry.kind) << entry.pattern;
  }
}

TEST(SensitiveFiles, ReferenceListsEveryKind) {
  std::ifstream file(std::string(CICD_SOURCE_DIR) + "/docs/reference/log-format.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(text.empty());
  for (const SensitivePattern& entry : sensitive_patterns()) {
    if (entry.kind.empty()) continue;
    EXPECT_NE(text.find(std::string(entry.kind)), std::string::npos) << entry.kind;
    EXPECT_NE(text.find("`" + std::string(entry.pattern) + "`"), std::string::npos)
        << entry.pattern;
  }
}

}  // namespace
}  // namespace cicd
