// SPDX-License-Identifier: Apache-2.0
// ScopeSink: where a scope's rows go. Implemented by evidence/ (files, later the manager).
// Thread: all calls on the job's worker, in order; finish comes last.
#pragma once

#include <cstdint>

#include "egress/violation.h"
#include "event/event_record.h"
#include "job/summary.h"
#include "kernel/loss.h"

namespace cicd {

class ScopeSink {
 public:
  virtual ~ScopeSink() = default;
  virtual void on_event(const EventRecord& record) = 0;
  // `is_last_alert`: this hit reaches max_alerts; later ones are counted only.
  virtual void on_detection(const EventRecord& record, const CompiledRule& rule,
                            bool is_last_alert) = 0;
  // Something that the scope's egress policy does not allow, after the event's row. Repeats come
  // merged, some time after the event. A sink that keeps none has nothing to do.
  virtual void on_violation(const Violation& /*violation*/, const PolicyRef& /*policy*/) {}
  // End of a batch: a good moment to write what is buffered.
  virtual void flush() = 0;
  // Rows that could not be written, so far.
  virtual LossReport losses() const = 0;
};

}  // namespace cicd
