// SPDX-License-Identifier: Apache-2.0
#include "report/page_data.h"

#include <algorithm>

#include "base/version.h"
#include "report/egress_text.h"

namespace cicd {

namespace {

void write_types(PageWriter& out) {
  out.objects("types", event_types(), [&](const EventTypeInfo& info) {
    out.member("name", info.name);
    out.member("doc", info.doc);
  });
}

void write_strings(PageWriter& out, const StringTable& strings) {
  out.key("strings").raw("{").key("folder").raw("[");
  // Folders as differences: neighbours often share one.
  std::int64_t before = 0;
  for (std::uint32_t i = 0; i < strings.size(); ++i) {
    const std::int64_t folder = strings.folder_of(i);
    out.raw(i == 0 ? "" : ",").number(folder - before);
    before = folder;
  }
  out.raw("]").key("text").raw("[");
  for (std::uint32_t i = 0; i < strings.size(); ++i) {
    out.raw(i == 0 ? "\"" : ",\"").raw(strings.json_of(i)).raw("\"");
  }
  out.raw("]}");
}

void write_images(PageWriter& out, const ReportModel& model) {
  const auto column = [&](std::string_view name, auto member) {
    out.array(name, model.images(), [&](const ReportImage& image) { out.number(image.*member); });
  };
  out.key("images").raw("{");
  column("path", &ReportImage::path);
  column("args", &ReportImage::arguments);
  column("cwd", &ReportImage::cwd);
  column("script", &ReportImage::script);
  out.raw("}").key("past").raw("{");
  out.array("image", model.past_images(),
            [&](const ReportPastImage& past) { out.number(past.image); });
  out.array("previous", model.past_images(),
            [&](const ReportPastImage& past) { out.number(past.previous); });
  out.raw("}");
}

void write_processes(PageWriter& out, const ReportModel& model) {
  const auto column = [&](std::string_view name, auto value_of) {
    out.array(name, model.processes(),
              [&](const ReportProcess& process) { out.number(value_of(process)); });
  };
  out.key("processes").raw("{");
  column("pid", [](const ReportProcess& p) { return p.pid; });
  column("uid", [](const ReportProcess& p) { return p.uid; });
  column("parent", [](const ReportProcess& p) { return p.parent; });
  column("image", [](const ReportProcess& p) { return p.image; });
  column("past", [](const ReportProcess& p) { return p.past_image; });
  column("step", [](const ReportProcess& p) { return p.step; });
  column("start", [](const ReportProcess& p) { return p.start_us; });
  column("end", [](const ReportProcess& p) {
    return p.has_ended ? static_cast<std::int64_t>(p.end_us) : -1;
  });
  // A signal as a negative number.
  column("status",
         [](const ReportProcess& p) { return p.signal != 0 ? -int{p.signal} : int{p.exit_code}; });
  column("events", [](const ReportProcess& p) { return p.events; });
  out.raw("}");
}

void write_events(PageWriter& out, const ReportModel& model) {
  out.key("events").raw("{").key("type").raw("\"");
  for (const ReportEvent& event : model.events()) {
    const char letter = static_cast<char>('A' + event.type);
    out.raw({&letter, 1});
  }
  out.raw("\"");
  // As differences to the event before: most are small.
  const auto differences = [&](std::string_view name, auto value_of) {
    std::int64_t before = 0;
    out.array(name, model.events(), [&](const ReportEvent& event) {
      const auto value = static_cast<std::int64_t>(value_of(event));
      out.number(value - before);
      before = value;
    });
  };
  differences("time", [](const ReportEvent& e) { return e.time_us(); });
  differences("process", [](const ReportEvent& e) { return e.process; });
  differences("text", [](const ReportEvent& e) { return e.text; });
  out.array("detail", model.events(), [&](const ReportEvent& e) { out.number(e.detail); });
  out.array("flags", model.events(), [&](const ReportEvent& e) { out.number(e.flags); });
  out.raw("}");
}
static_assert(kEventTypeCount <= 26);

void write_rule(PageWriter& out, const DetectionSummary& detection) {
  const CompiledRule& rule = detection.rule;
  out.member("set", rule.ruleset_id);
  out.member("revision", rule.ruleset_revision);
  out.member("id", rule.rule.rule_id);
  out.member("name", rule.rule.rule_name);
  out.member("about", rule.rule.description);
  out.member("action", name_of(rule.rule.action));
  out.member("looksAt",
             rule.rule.is_correlation ? "correlation" : info_of(rule.rule.event_type).name);
  out.member("condition", rule.rule.condition.text);
  std::vector<std::string_view> exceptions;
  if (rule.rule.exceptions) exceptions.push_back(rule.rule.exceptions->text);
  for (const SourceText& added : rule.rule.added_exceptions) exceptions.push_back(added.text);
  out.strings("exceptions", exceptions);
  out.array("tags", rule.rule.tags,
            [&](const auto& tag) { out.quoted(tag.first + ": " + tag.second); });
  out.member_number("hits", detection.count);
  out.member_number("most", rule.max_alerts);
}

void write_alerts(PageWriter& out, const ReportModel& model, const JobSummary& summary) {
  out.objects("rules", summary.detections,
              [&](const DetectionSummary& detection) { write_rule(out, detection); });
  // Places of the model's rules in that list.
  std::vector<std::size_t> places;
  for (const ReportRule& rule : model.rules()) {
    const auto found = std::ranges::find_if(summary.detections, [&](const DetectionSummary& other) {
      return other.rule.rule.rule_id == rule.rule_id && other.rule.ruleset_id == rule.ruleset_id;
    });
    places.push_back(static_cast<std::size_t>(found - summary.detections.begin()));
  }
  out.array("alerts", model.alerts(), [&](const ReportAlert& alert) {
    out.raw("[").number(alert.event).raw(",").number(places[alert.rule]).raw("]");
  });
  out.key("values").raw("{");
  for (const ReportValues& values : model.values()) {
    out.comma();
    out.raw("\"").number(values.event).raw("\":{").raw(values.json).raw("}");
  }
  out.raw("}");
}

void write_histogram(PageWriter& out, const TimeHistogram& histogram) {
  out.member_number("sliceUs", histogram.slice_us());
  out.key("lanes").raw("[");
  for (std::size_t lane = 0; lane < kReportLanes; ++lane) {
    out.raw(lane == 0 ? "[" : ",[");
    for (std::size_t i = 0; i < histogram.used_slices(); ++i) {
      out.raw(i == 0 ? "" : ",").number(histogram.count(static_cast<ReportLane>(lane), i));
    }
    out.raw("]");
  }
  out.raw("]");
}

void write_left_out(PageWriter& out, const ReportModel& model) {
  out.key("leftOut").raw("{");
  for (std::size_t i = 0; i < model.left_out().size(); ++i) {
    if (model.left_out()[i] != 0) out.member_number(event_types()[i].name, model.left_out()[i]);
  }
  out.raw("}");
  out.member_number("alertsLeftOut", model.alerts_left_out());
}

void write_job(PageWriter& out, const JobSummary& summary) {
  const JobIdentity& id = summary.identity;
  const JobMetadata& data = summary.metadata;
  const std::pair<std::string_view, std::string_view> entries[] = {
      {"Project", id.project_path},
      {"Provider", id.provider},
      {"Host", id.provider_host},
      {"Job", id.github_job.empty() ? data.gitlab_job_name : id.github_job},
      {"Job number", id.gitlab_job_id},
      {"Key of this run", id.job_key},
      {"Run", id.github_run_id},
      {"Attempt", id.github_run_attempt},
      {"Runner", id.github_runner_tracking_id},
      {"Pipeline", data.gitlab_pipeline_id},
      {"Workflow", data.github_workflow},
      {"Workflow file", data.github_workflow_ref},
      {"Configuration", data.gitlab_config_ref_uri},
      {"Commit", data.commit_sha},
      {"Ref", data.ref_name},
      {"Started by", data.trigger},
      {"Actor", data.actor_name},
      {"Page of the job", data.job_link},
      {"Runner type", summary.runner_type},
  };
  out.key("job").raw("[");
  for (const auto& [label, text] : entries) {
    if (text.empty()) continue;
    out.comma();
    out.raw("[").quoted(label).raw(",").quoted(text).raw("]");
  }
  out.raw("]");
}

void write_evidence(PageWriter& out, const JobSummary& summary) {
  out.objects("losses", summary.losses.entries, [&](const LossEntry& entry) {
    out.member("what", entry.what).member("reason", entry.reason);
    out.member_number("count", entry.count);
  });
  out.member_number("repeatedOpens", summary.losses.repeated_opens);
  out.member_number("repeatedActs", summary.losses.repeated_acts);
  out.member_number("repeatedSendmsg", summary.losses.repeated_sendmsg);
  out.member_number("slowedActs", summary.losses.slowed_acts);
  out.objects("coverage", summary.coverage, [&](const Coverage& coverage) {
    out.member("type", info_of(coverage.type).name).member("backend", coverage.backend);
    out.member_bool("available", coverage.available);
    out.member("limits", coverage.limits).member("reason", coverage.reason);
  });
  out.objects("ruleSets", summary.rule_sets, [&](const RuleSetRef& set) {
    out.member("id", set.ruleset_id).member("revision", set.revision);
  });
  out.strings("problems", summary.problems);
  out.objects("sensitive", summary.sensitive_files, [&](const SensitiveFileUse& use) {
    out.member("path", use.path).member("kind", use.kind);
    out.member_number("reads", use.reads).member_number("writes", use.writes);
    out.strings("by", use.exec_paths);
  });
  out.key("byType").raw("{");
  for (std::size_t i = 0; i < summary.events_by_type.size(); ++i) {
    if (summary.events_by_type[i] == 0) continue;
    out.member_number(event_types()[i].name, summary.events_by_type[i]);
  }
  out.raw("}");
}

void write_termination(PageWriter& out, const TerminationSummary& ended) {
  out.key("termination").raw("{");
  out.member("rule", ended.rule_id);
  out.member_number("timeUs", ended.time_ns / 1'000);
  out.member_number("durationUs", ended.duration_us);
  out.member_number("processes", ended.processes);
  out.member_number("escaped", ended.escaped_processes);
  out.member_number("left", ended.processes_left);
  out.member("method", ended.method);
  out.raw("}");
}

std::string address_of(const std::string& ip, std::uint16_t port, const std::string& protocol) {
  if (ip.empty()) return {};
  const bool is_v6 = ip.find(':') != std::string::npos;
  std::string out = is_v6 ? "[" + ip + "]" : ip;
  if (port != 0) out += ":" + std::to_string(port);
  return out + "/" + protocol;
}

void write_egress(PageWriter& out, const EgressSummary& egress) {
  out.key("egress").raw("{");
  out.member("mode", egress_mode_text(egress));
  out.member("violations", violations_text(egress));
  out.member("learned", learning_text(egress));
  out.objects("top", egress.top, [&](const ViolationUse& use) {
    out.member("verdict", name_of(use.verdict)).member("reason", name_of(use.reason));
    out.member("rule", use.rule_id).member("host", use.host);
    out.member("address", address_of(use.ip, use.port, use.protocol));
    out.member_number("count", use.count);
    out.strings("by", use.exec_paths);
  });
  out.raw("}");
}

void write_traffic(PageWriter& out, const std::vector<DestinationUse>& destinations) {
  std::vector<const DestinationUse*> uses;
  for (const DestinationUse& use : destinations) {
    if (!traffic_text(use.traffic).empty()) uses.push_back(&use);
  }
  std::ranges::stable_sort(uses, std::ranges::greater(),
                           [](const DestinationUse* use) { return use->traffic.sent_bytes; });
  out.objects("traffic", uses, [&](const DestinationUse* use) {
    out.member("host", use->domain);
    out.member("address", address_of(use->remote_ip, use->remote_port, use->protocol));
    out.member_number("sent", use->traffic.sent_bytes);
    out.member_number("sentPackets", use->traffic.sent_packets);
    out.member_number("received", use->traffic.received_bytes);
    out.member_number("receivedPackets", use->traffic.received_packets);
    out.member_number("blocked", use->traffic.blocked_bytes);
    out.member_number("blockedPackets", use->traffic.blocked_packets);
  });
}

void write_summary(PageWriter& out, const JobSummary& summary,
                   const std::vector<std::string>& command) {
  out.member("version", version());
  out.member("result", name_of(summary.result));
  out.member("name", summary.identity.project_path);
  out.member("reason", summary.finalize_reason);
  out.strings("command", command);
  out.member_bool("statusKnown", summary.command_known);
  out.member_number("status", summary.command_status);
  out.member_number("startUs", summary.start_time_ns / 1'000);
  out.member_number("endUs", summary.end_time_ns / 1'000);
  out.member_number("eventsTotal", summary.events_total);
  out.member_number("processesTotal", summary.processes_total);
  out.member_number("processesLeft", summary.processes_left);
  out.member_number("restarts", summary.sensor_restarts);
  if (summary.termination) write_termination(out, *summary.termination);
  if (summary.egress) write_egress(out, *summary.egress);
  write_traffic(out, summary.destinations);
  write_job(out, summary);
  write_evidence(out, summary);
}

}  // namespace

void write_page_data(PageWriter& out, const ReportModel& model, const JobSummary& summary,
                     const std::vector<std::string>& command) {
  out.raw("{");
  out.member_number("format", 1);
  out.member_number("firstUs", model.start_ns() / 1'000);
  write_summary(out, summary, command);
  write_types(out);
  write_alerts(out, model, summary);
  write_histogram(out, model.histogram());
  write_left_out(out, model);
  write_images(out, model);
  write_processes(out, model);
  write_events(out, model);
  write_strings(out, model.strings());
  out.raw("}");
}

}  // namespace cicd
