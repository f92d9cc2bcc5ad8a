// SPDX-License-Identifier: Apache-2.0
#include "egress/learn_store.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

namespace cicd {

namespace {

constexpr int kSchemaVersion = 1;
constexpr int kApplicationId = 0x43494353;  // "CICS", in the head of the file

constexpr const char* kSchema = R"(
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  job_key TEXT NOT NULL,
  end_ns INTEGER NOT NULL,
  new_entries INTEGER NOT NULL,
  left_out INTEGER NOT NULL,
  UNIQUE (project, job_key)
);
CREATE TABLE destinations (
  project TEXT NOT NULL,
  host TEXT NOT NULL,
  port INTEGER NOT NULL,
  proto TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  count INTEGER NOT NULL,
  first_ns INTEGER NOT NULL,
  last_ns INTEGER NOT NULL,
  exec_path TEXT NOT NULL,
  step TEXT NOT NULL,
  first_job INTEGER NOT NULL,
  last_job INTEGER NOT NULL,
  PRIMARY KEY (project, host, port, proto)
) WITHOUT ROWID;
)";

struct CloseDatabase {
  void operator()(sqlite3* db) const { ::sqlite3_close_v2(db); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { ::sqlite3_finalize(statement); }
};

std::unexpected<Error> store_error(const std::string& path, int code, std::string_view detail) {
  const std::string text = "egress learning: " + path + ": ";
  switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return fail(ErrorCode::kInvalidInput, text + "the file is damaged or no SQLite file",
                  "move it away; learning then starts anew");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(ErrorCode::kTimeout, text + "another process keeps it locked",
                  "see who has it open (fuser)");
    case SQLITE_CANTOPEN:
      return fail(ErrorCode::kNotFound, text + "cannot be opened",
                  "name a folder that exists and that this user may use");
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return fail(ErrorCode::kPermission, text + "may not be written");
    case SQLITE_FULL:
      return fail(ErrorCode::kResource, text + "the disk is full");
    default:
      return fail(ErrorCode::kIo, text + std::string(detail));
  }
}

}  // namespace

struct LearnStore::Impl {
  std::unexpected<Error> error(int code) const {
    return store_error(path, code, ::sqlite3_errmsg(db.get()));
  }
  // Where nothing is to be kept: should this fail too, SQLite does it when the file is closed.
  void roll_back() const { ::sqlite3_exec(db.get(), "ROLLBACK", nullptr, nullptr, nullptr); }
  Result<> run(const char* sql) const {
    const int code = ::sqlite3_exec(db.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return error(code);
    return {};
  }
  Result<> check_schema(bool for_writing) const;
  Result<> make_schema() const;
  Result<std::uint64_t> add(const LearnedJob& job) const;
  Result<std::uint64_t> add_uses(const LearnedJob& job, std::int64_t job_id,
                                 std::uint64_t& left_out) const;
  Result<bool> find_new(const LearnedJob& job, std::uint64_t& new_entries) const;

  std::string path;
  Database db;
};

namespace {

// A prepared statement; values are bound by place, from 1. The text must outlive the step.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) {
    sqlite3_stmt* statement = nullptr;
    code_ = ::sqlite3_prepare_v2(db, sql, -1, &statement, nullptr);
    statement_.reset(statement);
  }
  Statement& bind(std::string_view text) {
    if (code_ == SQLITE_OK) {
      code_ = ::sqlite3_bind_text(statement_.get(), ++bound_, text.data(),
                                  static_cast<int>(text.size()), SQLITE_STATIC);
    }
    return *this;
  }
  Statement& bind(std::uint64_t number) {
    if (code_ == SQLITE_OK) {
      code_ = ::sqlite3_bind_int64(statement_.get(), ++bound_, static_cast<std::int64_t>(number));
    }
    return *this;
  }
  // Whether there is a row; false: the end, or an error, which code() tells.
  bool step() {
    if (code_ != SQLITE_OK) return false;
    const int result = ::sqlite3_step(statement_.get());
    if (result == SQLITE_ROW) return true;
    if (result != SQLITE_DONE) code_ = result;
    return false;
  }
  void reset() {
    ::sqlite3_reset(statement_.get());
    bound_ = 0;
  }
  int code() const { return code_; }
  std::uint64_t number(int column) const {
    return static_cast<std::uint64_t>(::sqlite3_column_int64(statement_.get(), column));
  }
  std::string text(int column) const {
    const auto* bytes = ::sqlite3_column_text(statement_.get(), column);
    const int size = ::sqlite3_column_bytes(statement_.get(), column);
    if (bytes == nullptr) return {};
    return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
  }

 private:
  std::unique_ptr<sqlite3_stmt, FinalizeStatement> statement_;
  int code_ = SQLITE_OK;
  int bound_ = 0;
};

}  // namespace

Result<> LearnStore::Impl::make_schema() const {
  // Two that begin at once: the second finds it made.
  CICD_TRY(run("BEGIN IMMEDIATE"));
  Statement version(db.get(), "PRAGMA user_version");
  const bool is_made = version.step() && version.number(0) != 0;
  version.reset();
  if (is_made) return run("COMMIT");
  const std::string marks = "PRAGMA application_id = " + std::to_string(kApplicationId) +
                            "; PRAGMA user_version = " + std::to_string(kSchemaVersion);
  Result<> made = run(kSchema);
  if (made) made = run(marks.c_str());
  if (made) return run("COMMIT");
  roll_back();
  return made;
}

Result<> LearnStore::Impl::check_schema(bool for_writing) const {
  Statement version(db.get(), "PRAGMA user_version");
  Statement id(db.get(), "PRAGMA application_id");
  Statement tables(db.get(), "SELECT count(*) FROM sqlite_master");
  const bool is_read = version.step() && id.step() && tables.step();
  if (!is_read) {
    for (const Statement* each : {&version, &id, &tables}) {
      if (each->code() != SQLITE_OK) return error(each->code());
    }
    return error(SQLITE_CORRUPT);
  }
  if (version.number(0) == 0 && tables.number(0) == 0 && for_writing) {
    version.reset();
    id.reset();
    tables.reset();
    return make_schema();
  }
  if (id.number(0) != kApplicationId) {
    return fail(ErrorCode::kInvalidInput,
                "egress learning: " + path + ": not a file of cicd-sensor",
                "move it away; learning then starts anew");
  }
  if (version.number(0) != kSchemaVersion) {
    return fail(ErrorCode::kUnsupported,
                "egress learning: " + path + ": made by another version (schema " +
                    std::to_string(version.number(0)) + ")",
                "use the version that made it, or move it away");
  }
  return {};
}

Result<LearnStore> LearnStore::open(const std::string& path, bool for_writing) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  sqlite3* db = nullptr;
  const int how = for_writing ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  const int code = ::sqlite3_open_v2(path.c_str(), &db,
                                     how | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX, nullptr);
  impl->db.reset(db);
  if (code != SQLITE_OK) return impl->error(code);
  ::sqlite3_busy_timeout(db, kBusyMs);
  // What a damaged file says of its own structure is not believed.
  ::sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  CICD_TRY(impl->run("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON"));
  CICD_TRY(impl->check_schema(for_writing));
  return LearnStore(std::move(impl));
}

LearnStore::LearnStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LearnStore::LearnStore(LearnStore&&) noexcept = default;
LearnStore& LearnStore::operator=(LearnStore&&) noexcept = default;
LearnStore::~LearnStore() = default;

Result<bool> LearnStore::Impl::find_new(const LearnedJob& job, std::uint64_t& new_entries) const {
  Statement known(db.get(), "SELECT new_entries FROM jobs WHERE project = ? AND job_key = ?");
  const bool is_known = known.bind(job.project).bind(job.key).step();
  if (known.code() != SQLITE_OK) return error(known.code());
  if (is_known) new_entries = known.number(0);
  return is_known;
}

Result<std::uint64_t> LearnStore::Impl::add_uses(const LearnedJob& job, std::int64_t job_id,
                                                 std::uint64_t& left_out) const {
  const auto id = static_cast<std::uint64_t>(job_id);
  Statement held(db.get(), "SELECT count(*) FROM destinations WHERE project = ?");
  if (!held.bind(job.project).step()) return error(held.code());
  std::uint64_t room = kMaxLearned - std::min<std::uint64_t>(kMaxLearned, held.number(0));
  std::uint64_t added = 0;
  Statement update(db.get(),
                   "UPDATE destinations SET jobs = jobs + (last_job <> ?1), count = count + ?2,"
                   " first_ns = min(first_ns, ?3), last_ns = max(last_ns, ?4), last_job = ?1"
                   " WHERE project = ?5 AND host = ?6 AND port = ?7 AND proto = ?8");
  Statement insert(
      db.get(),
      "INSERT INTO destinations VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?10)");
  for (const LearnedUse& use : job.uses) {
    update.reset();
    update.bind(id).bind(use.count).bind(use.first_ns).bind(use.last_ns);
    update.bind(job.project).bind(use.host).bind(std::uint64_t{use.port}).bind(use.proto).step();
    if (update.code() != SQLITE_OK) return error(update.code());
    if (::sqlite3_changes(db.get()) > 0) continue;
    if (room == 0) {
      ++left_out;
      continue;
    }
    insert.reset();
    insert.bind(job.project).bind(use.host).bind(std::uint64_t{use.port}).bind(use.proto);
    insert.bind(use.count).bind(use.first_ns).bind(use.last_ns);
    insert.bind(use.exec_path).bind(use.step).bind(id).step();
    if (insert.code() != SQLITE_OK) return error(insert.code());
    --room;
    ++added;
  }
  return added;
}

Result<std::uint64_t> LearnStore::Impl::add(const LearnedJob& job) const {
  std::uint64_t added = 0;
  CICD_ASSIGN(const bool is_known, find_new(job, added));
  if (is_known) return added;
  Statement insert(db.get(), "INSERT INTO jobs VALUES (NULL, ?, ?, ?, 0, 0)");
  insert.bind(job.project).bind(job.key).bind(job.end_ns).step();
  if (insert.code() != SQLITE_OK) return error(insert.code());
  const std::int64_t id = ::sqlite3_last_insert_rowid(db.get());
  std::uint64_t left_out = 0;
  CICD_ASSIGN(added, add_uses(job, id, left_out));
  Statement update(db.get(), "UPDATE jobs SET new_entries = ?, left_out = ? WHERE id = ?");
  update.bind(added).bind(left_out).bind(static_cast<std::uint64_t>(id)).step();
  if (update.code() != SQLITE_OK) return error(update.code());
  return added;
}

Result<std::uint64_t> LearnStore::add(const LearnedJob& job) {
  CICD_TRY(impl_->run("BEGIN IMMEDIATE"));
  Result<std::uint64_t> added = impl_->add(job);
  if (added) {
    if (auto committed = impl_->run("COMMIT"); !committed) {
      added = std::unexpected(std::move(committed.error()));
    }
  }
  if (!added) impl_->roll_back();
  return added;
}

Result<Learned> LearnStore::learned(const std::string& project) const {
  sqlite3* db = impl_->db.get();
  // One picture, whatever is written meanwhile.
  CICD_TRY(impl_->run("BEGIN"));
  Learned out;
  Statement jobs(db,
                 "SELECT count(*), coalesce(max(id), 0), coalesce(sum(left_out), 0)"
                 " FROM jobs WHERE project = ?");
  const bool is_read = jobs.bind(project).step();
  const std::uint64_t last_job = is_read ? jobs.number(1) : 0;
  if (is_read) {
    out.jobs = jobs.number(0);
    out.left_out = jobs.number(2);
  }
  Statement rows(db,
                 "SELECT host, port, proto, jobs, count, first_ns, last_ns, exec_path, step,"
                 " first_job FROM destinations WHERE project = ? ORDER BY host, port, proto");
  rows.bind(project);
  while (is_read && rows.step()) {
    LearnedDestination& each = out.destinations.emplace_back();
    each.host = rows.text(0);
    each.port = static_cast<std::uint16_t>(rows.number(1));
    each.proto = rows.text(2);
    each.jobs = rows.number(3);
    each.count = rows.number(4);
    each.first_ns = rows.number(5);
    each.last_ns = rows.number(6);
    each.exec_path = rows.text(7);
    each.step = rows.text(8);
    each.is_new = rows.number(9) == last_job;
    out.last_new += each.is_new;
  }
  const int code = jobs.code() != SQLITE_OK ? jobs.code() : rows.code();
  jobs.reset();
  rows.reset();
  const auto failure = impl_->error(code);
  impl_->roll_back();
  if (code != SQLITE_OK) return failure;
  return out;
}

Result<std::vector<std::string>> LearnStore::projects() const {
  std::vector<std::string> out;
  Statement rows(impl_->db.get(), "SELECT DISTINCT project FROM jobs ORDER BY project");
  while (rows.step()) out.push_back(rows.text(0));
  if (rows.code() != SQLITE_OK) return impl_->error(rows.code());
  return out;
}

}  // namespace cicd
