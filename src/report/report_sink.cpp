// SPDX-License-Identifier: Apache-2.0
#include "report/report_sink.h"

#include <utility>

namespace cicd {

namespace {

class ReportSink final : public ScopeSink {
 public:
  ReportSink(std::shared_ptr<ReportModel> model, std::unique_ptr<ScopeSink> next)
      : model_(std::move(model)), next_(std::move(next)) {}

  void on_event(const EventRecord& record) override {
    model_->add_event(record);
    next_->on_event(record);
  }
  void on_detection(const EventRecord& record, const CompiledRule& rule,
                    bool is_last_alert) override {
    model_->add_alert(record, rule);
    next_->on_detection(record, rule, is_last_alert);
  }
  void on_violation(const Violation& violation, const PolicyRef& policy) override {
    next_->on_violation(violation, policy);
  }
  void flush() override { next_->flush(); }
  LossReport losses() const override { return next_->losses(); }

 private:
  std::shared_ptr<ReportModel> model_;
  std::unique_ptr<ScopeSink> next_;
};

}  // namespace

std::unique_ptr<ScopeSink> make_report_sink(std::shared_ptr<ReportModel> model,
                                            std::unique_ptr<ScopeSink> next) {
  return std::make_unique<ReportSink>(std::move(model), std::move(next));
}

}  // namespace cicd
