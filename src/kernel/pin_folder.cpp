// SPDX-License-Identifier: Apache-2.0
#include "kernel/pin_folder.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>

namespace cicd {

namespace {

namespace fs = std::filesystem;

constexpr const char* kBpffs = "/sys/fs/bpf";
constexpr std::string_view kKinds[] = {"maps", "programs", "links", "probes"};
constexpr std::string_view kState = "state";

// The value of the one entry of the map `state`.
struct StateValue {
  std::uint32_t bytes;
  char text[65'532];
};

bool is_bpffs(const std::string& path) {
  struct statfs status{};
  return ::statfs(path.c_str(), &status) == 0 &&
         static_cast<unsigned long>(status.f_type) == BPF_FS_MAGIC;
}

}  // namespace

Result<std::unique_ptr<PinFolder>> PinFolder::open(const std::string& path) {
  if (path.starts_with(std::string(kBpffs) + "/") && !is_bpffs(kBpffs) &&
      ::mount("bpf", kBpffs, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0) {
    return fail_errno(errno, std::string("mount a bpffs at ") + kBpffs);
  }
  std::unique_ptr<PinFolder> folder(new PinFolder(path));
  CICD_TRY(folder->make_kinds());
  return folder;
}

PinFolder::~PinFolder() {
  clear();
  const bool is_ours = is_bpffs(path_);
  std::error_code error;
  for (const std::string_view kind : kKinds) fs::remove(path_of(kind, ""), error);
  fs::remove(path_, error);
  if (is_ours) fs::remove(fs::path(path_).parent_path(), error);  // when nothing else is in it
}

Result<> PinFolder::make_kinds() {
  std::error_code error;
  for (const std::string_view kind : kKinds) {
    fs::create_directories(path_of(kind, ""), error);
    if (error) return fail_errno(error.value(), "make " + path_of(kind, ""));
  }
  fs::permissions(path_, fs::perms::owner_all, error);
  if (is_bpffs(path_)) return {};
  return fail(ErrorCode::kUnsupported, path_ + " is not in a bpffs");
}

std::string PinFolder::path_of(std::string_view kind, std::string_view name) const {
  std::string path = path_ + "/" + std::string(kind);
  if (!name.empty()) path += "/" + std::string(name);
  return path;
}

std::vector<std::string> PinFolder::names(std::string_view kind) const {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_of(kind, ""), error)) {
    out.push_back(entry.path().filename());
  }
  return out;
}

Result<UniqueFd> PinFolder::get(std::string_view kind, std::string_view name) const {
  const std::string path = path_of(kind, name);
  UniqueFd fd(::bpf_obj_get(path.c_str()));
  if (!fd) return fail_errno(errno, "open " + path);
  return fd;
}

Result<> PinFolder::put(std::string_view kind, std::string_view name, int fd) {
  const std::string path = path_of(kind, name);
  ::unlink(path.c_str());
  if (::bpf_obj_pin(fd, path.c_str()) == 0) return {};
  return fail_errno(errno, "pin " + path);
}

Result<UniqueFd> PinFolder::open_kind(std::string_view kind) const {
  const std::string path = path_of(kind, "");
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open " + path);
  return fd;
}

std::string PinFolder::read_state() const {
  const auto map = get(kState, "");
  if (!map) return {};
  auto value = std::make_unique<StateValue>();
  const std::uint32_t key = 0;
  bpf_map_info info{};
  __u32 size = sizeof(info);
  if (::bpf_obj_get_info_by_fd(map->get(), &info, &size) != 0) return {};
  if (info.value_size != sizeof(StateValue)) return {};
  if (::bpf_map_lookup_elem(map->get(), &key, value.get()) != 0) return {};
  if (value->bytes > sizeof(value->text)) return {};
  return {value->text, value->bytes};
}

Result<> PinFolder::write_state(std::string_view state) {
  auto value = std::make_unique<StateValue>();
  if (state.size() > sizeof(value->text)) {
    return fail(ErrorCode::kResource, "the state of the kernel side is too long to be kept");
  }
  value->bytes = static_cast<std::uint32_t>(state.size());
  std::memcpy(value->text, state.data(), state.size());
  const UniqueFd map(::bpf_map_create(BPF_MAP_TYPE_ARRAY, "cicd_state", sizeof(std::uint32_t),
                                      sizeof(StateValue), 1, nullptr));
  if (!map) return fail_errno(errno, "make a map for the state of the kernel side");
  const std::uint32_t key = 0;
  if (::bpf_map_update_elem(map.get(), &key, value.get(), BPF_ANY) != 0) {
    return fail_errno(errno, "write the state of the kernel side");
  }
  return put(kState, "", map.get());
}

void PinFolder::forget() { ::unlink(path_of(kState, "").c_str()); }

// The state first: without it nobody takes the rest for whole.
void PinFolder::clear() {
  forget();
  for (const std::string_view kind : {"links", "probes", "programs", "maps"}) {
    for (const std::string& name : names(kind)) ::unlink(path_of(kind, name).c_str());
  }
}

}  // namespace cicd
