// SPDX-License-Identifier: Apache-2.0
// A ScopeSink that shows all it gets to a ReportModel on its way to another sink.
// Thread: the job's worker. The model may be read once the worker has ended.
#pragma once

#include <memory>

#include "job/scope_sink.h"
#include "report/report_model.h"

namespace cicd {

// Neither may be null.
std::unique_ptr<ScopeSink> make_report_sink(std::shared_ptr<ReportModel> model,
                                            std::unique_ptr<ScopeSink> next);

}  // namespace cicd
