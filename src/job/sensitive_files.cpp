// SPDX-License-Identifier: Apache-2.0
#include "job/sensitive_files.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace cicd {

namespace {

// First match wins. Patterns with "/" in front are whole paths.
constexpr SensitivePattern kPatterns[] = {
    {"/etc/shadow", "password hashes"},
    {"/etc/shadow-", "password hashes"},
    {"/etc/gshadow", "password hashes"},
    {"/etc/sudoers", "sudo rules"},
    {"/etc/sudoers.d/*", "sudo rules"},
    {"/etc/krb5.keytab", "kerberos keys"},
    {"/etc/ssh/ssh_host_*_key", "ssh host key"},
    {"/var/run/secrets/kubernetes.io/serviceaccount/token", "kubernetes token"},
    {"/run/secrets/kubernetes.io/serviceaccount/token", "kubernetes token"},
    {"/run/secrets/*", "mounted secret"},
    {"/var/run/secrets/*", "mounted secret"},
    {".npmrc", "npm token"},
    {".yarnrc", "npm token"},
    {".yarnrc.yml", "npm token"},
    {".bunfig.toml", "npm token"},
    {".pypirc", "pypi token"},
    {".config/pip/pip.conf", "pypi token"},
    {".pip/pip.conf", "pypi token"},
    {".config/pypoetry/auth.toml", "pypi token"},
    {".gem/credentials", "rubygems token"},
    {".bundle/config", "rubygems token"},
    {".cargo/credentials", "cargo token"},
    {".cargo/credentials.toml", "cargo token"},
    {".nuget/NuGet/NuGet.Config", "nuget token"},
    {".config/NuGet/NuGet.Config", "nuget token"},
    {".m2/settings.xml", "maven credentials"},
    {".m2/settings-security.xml", "maven credentials"},
    {".gradle/gradle.properties", "gradle credentials"},
    {".composer/auth.json", "composer token"},
    {".config/composer/auth.json", "composer token"},
    {".hex/hex.config", "hex token"},
    {".aws/credentials", "aws credentials"},
    {".aws/config", "aws credentials"},
    {".aws/sso/cache/*", "aws credentials"},
    {".aws/cli/cache/*", "aws credentials"},
    {".config/gcloud/credentials.db", "gcp credentials"},
    {".config/gcloud/access_tokens.db", "gcp credentials"},
    {".config/gcloud/application_default_credentials.json", "gcp credentials"},
    {".config/gcloud/legacy_credentials/*/adc.json", "gcp credentials"},
    {".boto", "gcp credentials"},
    {".azure/accessTokens.json", "azure credentials"},
    {".azure/msal_token_cache.json", "azure credentials"},
    {".azure/msal_token_cache.bin", "azure credentials"},
    {".azure/service_principal_entries.json", "azure credentials"},
    {".azure/azureProfile.json", "azure credentials"},
    {".oci/config", "oracle cloud credentials"},
    {".config/doctl/config.yaml", "digitalocean token"},
    {".docker/config.json", "registry credentials"},
    {".config/containers/auth.json", "registry credentials"},
    {"containers/auth.json", "registry credentials"},
    {".dockercfg", "registry credentials"},
    {".kube/config", "kubernetes credentials"},
    {"/etc/kubernetes/admin.conf", "kubernetes credentials"},
    {"/etc/rancher/k3s/k3s.yaml", "kubernetes credentials"},
    {"/var/lib/kubelet/kubeconfig", "kubernetes credentials"},
    {".config/helm/repositories.yaml", "helm credentials"},
    {".config/helm/registry/config.json", "registry credentials"},
    {".ssh/id_*.pub", ""},  // a public key is no secret
    {".ssh/id_*", "ssh key"},
    {".ssh/identity", "ssh key"},
    {".ssh/*.pem", "ssh key"},
    {".ssh/authorized_keys", "ssh access"},
    {".gnupg/private-keys-v1.d/*", "gpg key"},
    {".gnupg/secring.gpg", "gpg key"},
    {".password-store/*.gpg", "password store"},
    {".local/share/keyrings/*", "key ring"},
    {".git-credentials", "git credentials"},
    {".config/git/credentials", "git credentials"},
    {".config/gh/hosts.yml", "github token"},
    {".config/hub", "github token"},
    {".config/glab-cli/config.yml", "gitlab token"},
    {".netrc", "netrc credentials"},
    {"_netrc", "netrc credentials"},
    {".vault-token", "vault token"},
    {".config/sops/age/keys.txt", "age key"},
    {".terraform.d/credentials.tfrc.json", "terraform token"},
    {".terraformrc", "terraform token"},
    {"terraform.tfstate", "terraform state"},
    {".pgpass", "database password"},
    {".my.cnf", "database password"},
    {".mylogin.cnf", "database password"},
    {".env", "environment file"},
    {".env.local", "environment file"},
    {".env.production", "environment file"},
    {".env.*.local", "environment file"},
    {".credentials", "runner credentials"},
    {".credentials_rsaparams", "runner credentials"},
    {"gha-creds-*.json", "gcp credentials"},
    {".bash_history", "shell history"},
    {".zsh_history", "shell history"},
    {"Login Data", "browser passwords"},
    {"logins.json", "browser passwords"},
    {"key4.db", "browser passwords"},
};

constexpr std::string_view base_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// `*` is any run of bytes without a slash. Patterns hold at most two, so this ends quickly.
bool glob_match(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos && text[star_text] != '/') {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// The last `components` components of `path` (without the slash before them), empty when it has
// fewer.
std::string_view tail_of(std::string_view path, std::size_t components) {
  std::size_t at = path.size();
  for (; components > 0; --components) {
    if (at == 0) return {};
    const std::size_t slash = path.rfind('/', at - 1);
    if (slash == std::string_view::npos) return {};
    if (components == 1) return path.substr(slash + 1);
    at = slash;
  }
  return {};
}

bool matches(std::string_view pattern, std::string_view path) {
  if (pattern.starts_with('/')) return glob_match(pattern, path);
  std::size_t components = 1;
  for (char c : pattern) components += c == '/';
  const std::string_view tail = tail_of(path, components);
  return !tail.empty() && glob_match(pattern, tail);
}

// The component before the last; empty when there is none.
constexpr std::string_view folder_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : base_of(path.substr(0, slash));
}

// Patterns by the first two bytes of their last component, and those whose last component may be
// any by the first two of the folder before it. Nearly every open is passed by two looks that find
// nothing.
class Index {
 public:
  static constexpr std::size_t kNone = std::size(kPatterns);

  Index() {
    for (std::size_t i = 0; i < kNone; ++i) {
      const std::string_view pattern = kPatterns[i].pattern;
      const bool is_any = base_of(pattern)[0] == '*';
      auto& table = is_any ? by_folder_ : by_base_;
      table[place_of(is_any ? folder_of(pattern) : base_of(pattern))].push_back(
          static_cast<std::uint8_t>(i));
    }
  }
  // The first pattern of the table that matches.
  std::size_t find(std::string_view path) const {
    return std::min(first_match(by_base_[place_of(base_of(path))], path),
                    first_match(by_folder_[place_of(folder_of(path))], path));
  }

 private:
  using Table = std::array<std::vector<std::uint8_t>, 256>;

  static std::size_t place_of(std::string_view component) {
    if (component.size() < 2) return 0;
    return (static_cast<unsigned char>(component[0]) * 7u +
            static_cast<unsigned char>(component[1])) %
           256;
  }
  static std::size_t first_match(std::span<const std::uint8_t> patterns, std::string_view path) {
    for (const std::uint8_t i : patterns) {
      if (matches(kPatterns[i].pattern, path)) return i;
    }
    return kNone;
  }

  Table by_base_;
  Table by_folder_;
};
static_assert(std::size(kPatterns) < 256);

// What the index relies on: two plain bytes in front of it is looked for by.
constexpr bool has_plain_start(std::string_view component) {
  return component.size() >= 2 && component[0] != '*' && component[1] != '*';
}
static_assert(std::ranges::all_of(kPatterns, [](const SensitivePattern& entry) {
  const std::string_view base = base_of(entry.pattern);
  return has_plain_start(base[0] == '*' ? folder_of(entry.pattern) : base);
}));

}  // namespace

std::span<const SensitivePattern> sensitive_patterns() { return kPatterns; }

std::string_view sensitive_kind(std::string_view path) {
  static const Index index;
  if (path.empty() || path.ends_with('/')) return {};
  const std::size_t found = index.find(path);
  return found == Index::kNone ? std::string_view{} : kPatterns[found].kind;
}

}  // namespace cicd
