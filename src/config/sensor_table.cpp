// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <span>

#include "config/command_table.h"

namespace cicd {

namespace {

// Flags of every command that makes the outputs of a job.
constexpr FlagSpec kRules = {"rules",
                             "PATH",
                             "",
                             "Rule files, or folders of `.yaml` and `.yml` files, to evaluate on "
                             "top of the baseline. May be "
                             "given again.",
                             "",
                             true};
constexpr FlagSpec kBaseline = {"baseline", "SWITCH", "on",
                                "Whether the rules that come with the program are evaluated.",
                                "on|off"};
constexpr FlagSpec kOutput = {
    "output", "DIR", "./cicd-sensor-out",
    "Where the output files go; made when missing. Files of an earlier run there are replaced."};
constexpr FlagSpec kReport = {
    "report", "LIST", "terminal,json,html",
    "Reports to make at the end, joined by commas: `terminal` prints one to standard error, `json` "
    "writes `summary.json`, `html` writes `report.html`."};
constexpr FlagSpec kFailOn = {
    "fail-on", "WHAT", "never",
    "Exit with 90 when a rule with this action fired: `detect` counts detect and terminate, "
    "`terminate` only terminate. `violation`: when something was against the egress policy, denied "
    "or not, or a rule with `terminate` fired.",
    "detect|terminate|violation|never"};
constexpr FlagSpec kPolicy = {
    "policy", "FILE", "",
    "What the job may reach: an egress policy (YAML). What is against it becomes a row of "
    "`violations.jsonl`. A file with mistakes is refused, and nothing is run."};
constexpr FlagSpec kQuiet = {"quiet", "", "",
                             "No progress line and no terminal report; errors are still printed."};

constexpr FlagSpec kBtf = {"btf", "FILE", "",
                           "A copy of the running kernel's type information, where "
                           "`/sys/kernel/btf/vmlinux` is hidden, as "
                           "in some containers."};
constexpr FlagSpec kBackend = {
    "backend", "KIND", "best",
    "How acts are seen that can be seen in several ways: `trampoline` at the kernel's own "
    "functions, "
    "`syscall` at system calls. `best` takes for each type of event what this kernel lets it have.",
    "best|syscall|trampoline"};

constexpr FlagSpec kRunFlags[] = {
    kRules,
    kBaseline,
    {"mode", "MODE", "observe",
     "What becomes of the job's connections. `observe` lets all of them pass and tells which are "
     "against the policy, if there is one; `learn` also remembers where the job went, for "
     "`cicd-sensorctl policy learn`; `enforce` denies what the policy does not allow.",
     "observe|learn|enforce"},
    kPolicy,
    {"state-dir", "DIR", "/var/lib/cicd-sensor",
     "With `--mode learn`: where `egress.db` is, with the destinations of all jobs. Made when "
     "missing."},
    {"monitor-mode", "", "",
     "End nothing: rules with the action `terminate` only detect. Without it such a rule ends the "
     "whole job (exit code 91)."},
    kOutput,
    kReport,
    {"name", "NAME", "",
     "Name of the project in every row and report. Without it: the one that the CI platform tells, "
     "else the name of the current folder."},
    kFailOn,
    {"grace", "DURATION", "2s",
     "How long to go on watching what the command left running when it ended (`500ms`, `2s`, "
     "`1m30s`, `0`). What still runs then is left alone and reported."},
    {"record", "FILE", "",
     "Keep the raw samples in this file, for `cicd-sensor replay`. It can be large and holds "
     "arguments without redaction."},
    {"no-dedup", "", "",
     "Report every open of a file. Without it an open that repeats an earlier one (same program of "
     "the same process, same path, same way) is counted and not reported."},
    {"strict", "", "",
     "Also see files that are opened, removed, moved or linked by 32-bit system calls. Every "
     "system "
     "call of the machine then passes a kernel program while the command runs."},
    kBackend,
    {"tls-capture", "", "",
     "Look at HTTP requests before OpenSSL and GnuTLS encrypt them: method, host and path only, "
     "never the query, headers or body."},
    kBtf,
    {"user", "USER", "",
     "User, by name or number, that the command runs as. Without it: the user who called `sudo`, "
     "else the caller."},
    kQuiet,
};
constexpr NamedDoc kRunExamples[] = {
    {"sudo cicd-sensor run -- make test", "Watch a build, with the baseline rules."},
    {"sudo cicd-sensor run --fail-on detect --name shop/web -- npm ci",
     "Fail the step when an install script does what a rule forbids."},
    {"sudo cicd-sensor run --rules ./rules --baseline off --output out -- ./ci.sh",
     "Only rules of your own, output elsewhere."},
};

constexpr FlagSpec kReplayFlags[] = {
    kRules,
    kBaseline,
    kPolicy,
    kOutput,
    kReport,
    {"name", "NAME", "", "Name of the job in every row and report. Without it: the recorded one."},
    kFailOn,
    kQuiet,
};
constexpr NamedDoc kReplayExamples[] = {
    {"cicd-sensor replay job.rec --rules ./rules",
     "What new rules would have said of a job that `run --record job.rec` watched."},
    {"cicd-sensor replay job.rec --quiet --fail-on detect --output out",
     "The same in a script: the exit code tells."},
};

constexpr FlagSpec kDoctorFlags[] = {
    {"format", "FORMAT", "text", "`text` for people, `json` for programs.", "text|json"},
    kBtf,
    {"socket", "PATH", "/run/cicd-sensor/agent.sock", "Where an agent would listen."},
};
constexpr NamedDoc kDoctorExamples[] = {
    {"sudo cicd-sensor doctor",
     "See whether this machine can be watched, and what would be missed."},
    {"sudo cicd-sensor doctor --format json", "The same for a program."},
};

constexpr FlagSpec kProxyFlags[] = {
    {"provider", "NAME", "", "Whose jobs the agent watches. Required.", "github|gitlab"},
    {"upstream-socket", "PATH", "/run/docker-upstream.sock", "Where dockerd listens."},
    {"listen-socket", "PATH", "/run/docker.sock",
     "Where the proxy listens, with the mode that the umask leaves."},
    {"agent-socket", "PATH", "/run/cicd-sensor/agent.sock", "Where the agent listens."},
    {"on-agent-down", "POLICY", "pass",
     "What becomes of a container that the agent does not acknowledge: `pass` lets it run and says "
     "so in the log, `refuse` answers create and start with 503.",
     "pass|refuse"},
};
constexpr NamedDoc kProxyExamples[] = {
    {"cicd-sensor proxy dockerd --provider github",
     "The standard paths; dockerd has been moved to `/run/docker-upstream.sock`."},
    {"cicd-sensor proxy dockerd --provider gitlab --on-agent-down refuse",
     "No container runs that is not watched."},
};

constexpr FlagSpec kHelpFlags[] = {
    {"markdown", "", "", "Print the reference page of all commands."},
};

constexpr FlagSpec kSocket = {"socket", "PATH", "/run/cicd-sensor/agent.sock",
                              "The socket of the agent."};
constexpr FlagSpec kAgentFlags[] = {
    {"provider", "NAME", "",
     "Whose jobs run here: it decides how a job is named and which requests are answered. "
     "Required.",
     "github|gitlab|jenkins|circleci|azure|bitbucket|tekton|buildkite|drone|generic"},
    {"runner", "TYPE", "", "What the runners of this host are, for rows and reports. Required.",
     "machine|kubernetes|hosted"},
    kSocket,
    {"state-dir", "DIR", "/var/lib/cicd-sensor",
     "Where what was seen is kept: `jobs/JOB/host/` has the files that `run --output` writes."},
    {"rules-file", "PATH", "",
     "Rule files, or folders of `.yaml` and `.yml` files, to evaluate on top of the baseline. May "
     "be "
     "given again.",
     "", true},
    {"disable-baseline-rules", "", "", "Leave out the rules that come with the program."},
    {"policy", "FILE", "",
     "The host's egress policy: what the jobs of this machine may reach. A file with mistakes is "
     "refused, and the agent does not start."},
    {"mode", "MODE", "observe",
     "What becomes of connections that the host's policy does not allow: `observe` tells of them, "
     "`learn` also remembers where jobs went (`egress.db` in the state directory), `enforce` "
     "denies "
     "them; a job that cannot be held to the policy does not start then.",
     "observe|learn|enforce"},
    {"monitor-mode", "", "",
     "End nothing: rules with the action `terminate` only detect. Without it such a rule ends the "
     "whole job."},
    {"job-ttl", "DURATION", "24h", "A job that is older is over."},
    {"shutdown-grace", "DURATION", "4s",
     "How long a shutdown may take to write what was seen of the jobs that run."},
    {"max-jobs", "N", "1000",
     "How many jobs may be watched at once; each costs the kernel 512 bytes a CPU."},
    {"keep-jobs", "N", "50", "Of how many ended jobs the files are kept; the oldest go first."},
    {"build-cgroup", "PATH,...", "/docker/buildkit,/system.slice",
     "The cgroups that dockerd's BuildKit may make those of its steps in, below the v2 root. With "
     "Docker's driver `systemd` it is the one above dockerd's own."},
    kBackend,
    {"no-dedup", "", "", "Report every open of a file, also those that repeat one before."},
    {"debug", "", "", "Log more."},
};
constexpr FlagSpec kProviderFlag = {
    "provider", "NAME", "",
    "Without it: the CI platform whose variables are set (docs/reference/ci-platforms.md), else "
    "`generic`.",
    "github|gitlab|jenkins|circleci|azure|bitbucket|tekton|buildkite|drone|generic"};
constexpr FlagSpec kProviderHost = {
    "provider-host", "HOST", "",
    "Default: what the platform's variables tell, as with the flags below."};
constexpr FlagSpec kProjectPath = {"project-path", "PATH", "", "Default: `GITHUB_REPOSITORY`."};
constexpr FlagSpec kJobKey = {
    "job-key", "TEXT", "",
    "Tells the runs of a project apart; of all providers but `github` and "
    "`gitlab`."};
constexpr FlagSpec kRunId = {"github-run-id", "N", "", "Default: `GITHUB_RUN_ID`."};
constexpr FlagSpec kGithubJob = {"github-job", "NAME", "", "Default: `GITHUB_JOB`."};
constexpr FlagSpec kAttempt = {"github-run-attempt", "N", "", "Default: `GITHUB_RUN_ATTEMPT`."};
constexpr FlagSpec kTracking = {"github-runner-tracking-id", "TEXT", "",
                                "Default: `RUNNER_TRACKING_ID`."};
constexpr FlagSpec kGitlabJob = {"gitlab-job-id", "N", "", "Of GitLab's jobs."};
constexpr FlagSpec kIdentityFlags[] = {kSocket,   kProviderFlag, kProviderHost, kProjectPath,
                                       kJobKey,   kRunId,        kGithubJob,    kAttempt,
                                       kTracking, kGitlabJob};
constexpr FlagSpec kMetadataFlags[] = {
    {"commit-sha", "SHA", "", "Default: `GITHUB_SHA`."},
    {"ref-name", "NAME", "", "Default: `GITHUB_REF_NAME`."},
    {"trigger", "NAME", "", "What made the job run. Default: `GITHUB_EVENT_NAME`."},
    {"actor-id", "ID", "", "Default: `GITHUB_ACTOR_ID`."},
    {"actor-name", "NAME", "", "Default: `GITHUB_ACTOR`."},
    {"github-workflow-ref", "REF", "", "Default: `GITHUB_WORKFLOW_REF`."},
    {"github-workflow-sha", "SHA", "", "Default: `GITHUB_WORKFLOW_SHA`."},
    {"github-workflow", "NAME", "", "Default: `GITHUB_WORKFLOW`."},
    {"gitlab-job-name", "NAME", "", "Of GitLab's jobs."},
    {"gitlab-config-ref-uri", "URI", "", "Of GitLab's jobs."},
};
constexpr FlagSpec kProjectOwnFlags[] = {
    {"rules-file", "FILE", "", "A rule file of the project, evaluated for its scope."},
    {"config-file", "FILE", "",
     "Settings of the project: YAML with `default_max_alerts_per_rule`, `disable_baseline_rules` "
     "and "
     "`monitor_mode`."},
    {"mode", "MODE", "observe",
     "What becomes of connections that the project's policy does not allow: `observe` and `learn` "
     "tell, `enforce` denies. The host's policy counts beside it.",
     "observe|learn|enforce"},
    {"policy", "FILE", "",
     "An egress policy of the project. What it extends must be built in (`builtin:...`)."},
};
// What both lists have.
template <std::size_t A, std::size_t B>
constexpr std::array<FlagSpec, A + B> joined(std::span<const FlagSpec, A> first,
                                             std::span<const FlagSpec, B> second) {
  std::array<FlagSpec, A + B> all{};
  std::ranges::copy(second, std::ranges::copy(first, all.begin()).out);
  return all;
}
constexpr auto kStartFlags = joined(std::span(kIdentityFlags), std::span(kMetadataFlags));
constexpr auto kProjectFlags = joined(std::span(kStartFlags), std::span(kProjectOwnFlags));
constexpr FlagSpec kResultOwnFlags[] = {
    {"output-file", "FILE", "-", "Where the document goes; `-` is standard output."},
};
constexpr auto kResultFlags = joined(std::span(kIdentityFlags), std::span(kResultOwnFlags));
constexpr FlagSpec kStatusFlags[] = {
    kSocket,
    {"format", "FORMAT", "text", "`json` prints what the agent answered.", "text|json"},
};
constexpr NamedDoc kAgentExamples[] = {
    {"sudo cicd-sensor agent start --provider github --runner machine",
     "Watch the jobs of the GitHub runners on this machine."},
};
constexpr NamedDoc kJobExamples[] = {
    {"cicd-sensor job start --project-path team/app --job-key build-42",
     "In the shell that runs a job: watch it and what it starts from now on."},
};
constexpr NamedDoc kHostExamples[] = {
    {"cicd-sensor host start", "In the job-started hook of a GitHub runner."},
};

constexpr CommandSpec kCommands[] = {
    {"run", "Run a command as a job and watch it.", "[flags] -- COMMAND [ARG...]",
     "Starts the command in a cgroup of its own, so that everything it does is seen from its first "
     "instruction on, passes signals and the terminal through, and ends with the command's exit "
     "code. It needs root (or the capabilities CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and "
     "CAP_SYS_ADMIN, and a cgroup it may write to); the command itself runs as the user who "
     "called. "
     "A second Ctrl-C does not wait for what the command left running.",
     kRunFlags, kRunExamples, true},
    {"replay", "Run rules over a recording.", "FILE [flags]",
     "Makes the outputs of a recorded job anew, with the rules of now. FILE is what `run --record` "
     "kept. Needs no rights but to read it. A recording that is cut or damaged gives the outputs "
     "of "
     "its good part, says where it ends, and exits with 1.",
     kReplayFlags, kReplayExamples, false, "FILE"},
    {"doctor", "Check whether this machine can be watched.", "[flags]",
     "Checks the kernel, its type information (BTF), the cgroup hierarchy and permissions, "
     "attaches "
     "every hook, watches a process of its own through them, and prints per type of event what "
     "serves it and what that cannot see. Exits with 0 when all is well and 1 when there are "
     "findings.",
     kDoctorFlags, kDoctorExamples},
    {"agent start", "Watch the jobs of this host that ask for it.", "[flags]",
     "Runs until SIGTERM or SIGINT. A job asks to be watched through the socket (`host start`, "
     "`job "
     "start`); its processes are then put into a cgroup of their own, and everything they do until "
     "the job ends is kept in the state folder. Any number of jobs at once; hooks are attached "
     "only "
     "while there is one. It needs root. Logs are one JSON object a line on standard error. When "
     "another agent has the socket it says so and exits with 0.",
     kAgentFlags, kAgentExamples},
    {"host start", "Have this GitHub job watched.", "[flags]",
     "For the job-started hook of a GitHub runner. Watched is what the runner's worker has started "
     "and will start.",
     kStartFlags, kHostExamples},
    {"host end",
     "End the watching of this GitHub job.",
     "[flags]",
     "For the job-completed hook. Fails when the agent does not know the job any more: then "
     "somebody "
     "ended it early, or the agent was not there. Returns when the summary is written.",
     kIdentityFlags,
     {}},
    {"project start",
     "Give this job a scope of its project.",
     "[flags]",
     "From inside a job that is watched. What happens from then on is evaluated for the project as "
     "well: "
     "the baseline and the project's own rules, with results of their own that the host's scope "
     "neither "
     "sees nor changes.",
     kProjectFlags,
     {}},
    {"project result",
     "Write what the project's scope has found so far.",
     "[flags]",
     "From inside the job, while it runs: a JSON document, of which `cicd-sensorctl report` makes "
     "a "
     "page. The job must be named by flags; no variable stands in for one.",
     kResultFlags,
     {}},
    {"job start", "Have this job watched.", "[flags]",
     "Watched is the process that runs this command (a shell, mostly) with everything it has "
     "started "
     "and will start.",
     kStartFlags, kJobExamples},
    {"job end",
     "End the watching of this job.",
     "[flags]",
     "From inside the job. Fails when the agent does not know the job any more. Returns when the "
     "summary is written.",
     kIdentityFlags,
     {}},
    {"job health",
     "Ask whether this job is watched.",
     "[flags]",
     "From inside the job. Prints the agent's answer; exits with 1 when the job is not watched.",
     kIdentityFlags,
     {}},
    {"job result",
     "Write what was found so far.",
     "[flags]",
     "As `project result`, of the project's scope or, when there is none, of the host's. Not for "
     "jobs of GitHub and GitLab: there the host's findings are not for the job.",
     kResultFlags,
     {}},
    {"status",
     "Show what the agent watches.",
     "[flags]",
     "Its jobs with what was seen of them so far, and what serves each type of event.",
     kStatusFlags,
     {}},
    {"proxy dockerd", "Tell the agent of the containers that jobs make.", "--provider NAME [flags]",
     "Stands before dockerd's socket and passes everything on unchanged. Of each container that is "
     "made it tells the agent before the client hears of it, so that the container belongs to the "
     "job of the process that made it (or, with `gitlab`, to the job that GitLab Runner's labels "
     "name) from its first instruction on. Ends with SIGTERM. The log is one JSON object a line on "
     "standard error.",
     kProxyFlags, kProxyExamples},
    {"help",
     "Print help.",
     "[COMMAND | --markdown]",
     "Prints help of the program or of a command.",
     kHelpFlags,
     {}},
};

constexpr NamedDoc kExitCodes[] = {
    {"N", "`run`: the command's own exit code; 128 + the signal's number when a signal ended it."},
    {"1", "`doctor`: there are findings. `replay`: the recording is cut or damaged."},
    {"2",
     "Usage: an unknown flag or value, rules with mistakes, a file that is no recording. Nothing "
     "was run."},
    {"90",
     "`run`, `replay`: what `--fail-on` names has happened. The command's own code is in "
     "`summary.json`."},
    {"91",
     "`run`: a rule with the action `terminate` ended the job (and `--fail-on` did not name it: "
     "that is 90)."},
    {"125", "The sensor could not start. Nothing was run."},
    {"126", "The command was found but cannot be run."},
    {"127", "The command was not found."},
};

constexpr NamedDoc kEnvironment[] = {
    {"PATH", "Where the command is looked for when its name holds no slash."},
    {"SUDO_UID, SUDO_GID",
     "Set by `sudo`; when root runs the sensor with them, the command and the output files belong "
     "to that user. The command's `HOME`, `USER` and `LOGNAME` are set to match."},
    {"NO_COLOR", "When set and not empty: no colours in the terminal report."},
};

constexpr NamedDoc kFiles[] = {
    {"DIR/events.jsonl", "One event in a row. DIR is what `--output` names."},
    {"DIR/detections.jsonl", "One row for each hit of a rule, up to its `max_alerts`."},
    {"DIR/violations.jsonl",
     "With `--policy`: one row for each thing that the policy does not allow; repeats are merged."},
    {"DIR/summary.json", "The whole job: result, detections, destinations, losses, coverage."},
    {"DIR/report.html",
     "The same for people, with timeline and process tree: one page for any browser, which needs "
     "no "
     "network."},
    {"DIR/.cicd-sensor-ID.journal",
     "The raw samples while the job runs, so that a sensor that is killed is continued without a "
     "loss. Removed at the end."},
    {"/run/cicd-sensor/runs/ID",
     "What a running job has made outside of DIR, and its command line. When everything of a run "
     "was killed at once, the next run finds it, makes its outputs from its journal (unless others "
     "write to DIR by now) and removes what is left."},
};

constexpr CommandTable kTable = {
    "cicd-sensor",
    "Watches what CI jobs really do: which programs ran, which files they opened, which addresses "
    "they reached, and what the rules say about it.",
    kCommands,
    kExitCodes,
    kEnvironment,
    kFiles,
};

}  // namespace

const CommandTable& sensor_table() { return kTable; }

}  // namespace cicd
