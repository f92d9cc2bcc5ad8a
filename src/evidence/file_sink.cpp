// SPDX-License-Identifier: Apache-2.0
#include "evidence/file_sink.h"

#include <optional>

#include "evidence/output_directory.h"
#include "evidence/row_file.h"
#include "evidence/row_writer.h"
#include "evidence/summary_json.h"

namespace cicd {

namespace {

class FileSink final : public ScopeSink {
 public:
  FileSink(const RowOptions& options, RowFile events, RowFile detections,
           std::optional<RowFile> violations)
      : rows_(options),
        events_(std::move(events)),
        detections_(std::move(detections)),
        violations_(std::move(violations)) {}

  void on_event(const EventRecord& record) override {
    rows_.append_event(events_.buffer(), record);
    events_.row_added();
  }

  void on_detection(const EventRecord& record, const CompiledRule& rule,
                    bool is_last_alert) override {
    rows_.append_detection(detections_.buffer(), record, rule, is_last_alert);
    detections_.row_added();
  }

  void on_violation(const Violation& violation, const PolicyRef& policy) override {
    if (!violations_) return;
    rows_.append_violation(violations_->buffer(), violation, policy);
    violations_->row_added();
  }

  void flush() override {
    events_.flush();
    detections_.flush();
    if (violations_) violations_->flush();
  }

  LossReport losses() const override {
    LossReport report;
    const auto add = [&](const char* what, const RowFile& file) {
      if (file.rows_lost() == 0) return;
      report.entries.push_back({what, "output_error", file.rows_lost()});
    };
    add("events.jsonl", events_);
    add("detections.jsonl", detections_);
    if (violations_) add("violations.jsonl", *violations_);
    return report;
  }

 private:
  RowWriter rows_;
  RowFile events_;
  RowFile detections_;
  std::optional<RowFile> violations_;  // none: the scope has no policy
};

}  // namespace

Result<OutputDirectory> open_output_directory(const FileSinkOptions& options) {
  return OutputDirectory::open(options.directory, {options.owner_uid, options.owner_gid});
}

Result<std::unique_ptr<ScopeSink>> make_file_sink(const FileSinkOptions& options) {
  CICD_ASSIGN(const OutputDirectory directory, open_output_directory(options));
  const auto buffers =
      options.buffers ? options.buffers : std::make_shared<RowBufferPool>(kRowBufferPoolBytes);
  CICD_ASSIGN(RowFile events, RowFile::create(directory, "events.jsonl", buffers));
  CICD_ASSIGN(RowFile detections, RowFile::create(directory, "detections.jsonl", buffers));
  std::optional<RowFile> violations;
  if (options.has_policy) {
    CICD_ASSIGN(violations, RowFile::create(directory, "violations.jsonl", buffers));
  }
  const RowOptions rows{options.identity, options.metadata, options.scope, options.runner_type,
                        options.redact_process_args};
  return std::make_unique<FileSink>(rows, std::move(events), std::move(detections),
                                    std::move(violations));
}

Result<void> write_summary(const FileSinkOptions& options, const JobSummary& summary) {
  CICD_ASSIGN(const OutputDirectory directory, open_output_directory(options));
  return directory.replace("summary.json", render_summary_json(options, summary));
}

}  // namespace cicd
