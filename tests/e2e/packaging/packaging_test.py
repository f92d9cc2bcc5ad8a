#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is installed: units with the directives that operators know, what is in the .deb and in the
archive of a release, and that their programs run on a system older than the one that builds."""
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile

from debian_world import Debian, wait_until
from sensor import BUILD, SENSOR, SOURCE, Skip, run_tests

UNITS = SOURCE / "packaging/systemd"
AGENT, PROXY = "cicd-sensor-agent.service", "cicd-sensor-docker-proxy.service"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
PROGRAMS = ("cicd-sensor", "cicd-sensorctl")
# The directives of the units: what operators of these units rely on, not all there are.
FACTS = {
    AGENT: {
        "Unit": {"After": ["network-online.target"], "Wants": ["network-online.target"],
                 "RefuseManualStop": ["yes"], "IgnoreOnIsolate": ["yes"]},
        "Service": {"Type": ["simple"], "RuntimeDirectory": ["cicd-sensor"],
                    "RuntimeDirectoryMode": ["0755"], "StateDirectory": ["cicd-sensor"],
                    "LoadCredential": ["manager_token:/etc/cicd-sensor/manager-token"],
                    "Restart": ["always"], "RestartSec": ["5s"], "NoNewPrivileges": ["yes"],
                    "PrivateTmp": ["yes"], "OOMScoreAdjust": ["-1000"], "KillMode": ["mixed"],
                    "TimeoutStopSec": ["5s"]},
        "Install": {"WantedBy": ["multi-user.target"]},
    },
    PROXY: {
        "Unit": {"After": [f"{AGENT} docker.service"], "Requires": ["docker.service"],
                 "Wants": [AGENT]},
        "Service": {"Group": ["docker"], "UMask": ["0117"],
                    "ExecStartPre": ["/bin/rm -f /run/docker.sock"], "Restart": ["on-failure"],
                    "RestartSec": ["100ms"]},
    },
    "docker.socket.d/override.conf": {
        "Socket": {"ListenStream": ["", "/run/docker-upstream.sock"]},
    },
}
WORLDS = {}


def world(suite):
    if suite not in WORLDS:
        WORLDS[suite] = Debian(suite)
    return WORLDS[suite]


def packages():
    """(.deb, archive) of this build, made once."""
    if "packages" not in WORLDS:
        made = subprocess.run(["make", "package"], cwd=SOURCE, capture_output=True, text=True,
                              check=False)
        assert made.returncode == 0, made.stdout + made.stderr
        WORLDS["packages"] = [pathlib.Path(SOURCE, line) for line in made.stdout.splitlines()
                              if line.endswith((".deb", ".tar.gz"))]
        assert len(WORLDS["packages"]) == 2, made.stdout
    return WORLDS["packages"]


def version():
    return re.search(r"project\(cicd-sensor VERSION (\S+)", (SOURCE / "CMakeLists.txt").read_text()).group(1)


def directives(path):
    """{section: {name: [values in order]}}"""
    sections, current = {}, None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), {})
        elif line and line[0] not in "#;":
            name, _, value = line.partition("=")
            current.setdefault(name, []).append(value)
    return sections


def test_units_have_the_directives_that_operators_know():
    for name, sections in FACTS.items():
        found = directives(UNITS / name)
        for section, facts in sections.items():
            for directive, values in facts.items():
                got = found.get(section, {}).get(directive)
                assert got == values, f"{name}: [{section}] {directive} is {got}, not {values}"


def commands_of(unit):
    """Words of ExecStart."""
    return directives(UNITS / unit)["Service"]["ExecStart"][0].split()


def test_units_start_what_the_program_has():
    for unit, command, flags in ((AGENT, ["agent", "start"], ["--provider", "--runner"]),
                                 (PROXY, ["proxy", "dockerd"], ["--provider"])):
        words = commands_of(unit)
        assert words[:3] == ["/opt/cicd-sensor/cicd-sensor", *command], words
        text = subprocess.run([SENSOR, "help", *command], capture_output=True, text=True,
                              check=True).stdout
        used = [word for word in words if word.startswith("--")]
        assert used[:len(flags)] == flags, words
        for flag in used:
            assert re.search(rf"^\s*{flag}\b", text, re.MULTILINE), f"{unit}: {flag} is no flag"
        # The token is loaded for the day on which the agent talks to a manager. Then the unit has to
        # say so, and this test is the reminder.
        if "--manager-url" in text:
            assert "${CREDENTIALS_DIRECTORY}/manager_token" in words, words
    assert "--runner machine" in " ".join(commands_of(AGENT))


def systemd_root(folder):
    """What make install installs, with the machine's own units and Docker's, for systemd to look at."""
    root = folder / "root"
    subprocess.run(["make", "install", f"DESTDIR={root}"], cwd=SOURCE, check=True,
                   capture_output=True)
    units = root / "usr/lib/systemd/system"
    subprocess.run(["cp", "-rn", "/usr/lib/systemd/system/.", units], check=True)
    (units / "docker.socket").write_text("[Socket]\nListenStream=/run/docker.sock\n")
    (units / "docker.service").write_text("[Service]\nExecStart=/bin/rm -f /none\n")
    (root / "bin").mkdir()
    shutil.copy("/bin/rm", root / "bin/rm")
    drop_ins = root / "etc/systemd/system/docker.socket.d"
    drop_ins.mkdir(parents=True)
    shutil.copy(UNITS / "docker.socket.d/override.conf", drop_ins)
    return root


def verify(root, *units):
    return subprocess.run(["systemd-analyze", "verify", f"--root={root}", *units],
                          capture_output=True, text=True, check=False)


def test_systemd_accepts_the_units():
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        root = systemd_root(pathlib.Path(folder))
        done = verify(root, AGENT, PROXY, "docker.socket")
        assert done.returncode == 0 and not done.stderr, done
        broken = root / "usr/lib/systemd/system" / AGENT
        broken.write_text(broken.read_text().replace("KillMode=mixed", "KillMode=both"))
        assert "kill mode" in verify(root, AGENT).stderr, "a mistake is found"


def test_make_install_keeps_settings():
    with tempfile.TemporaryDirectory() as folder:
        install = ["make", "install", f"DESTDIR={folder}"]
        subprocess.run(install, cwd=SOURCE, check=True, capture_output=True)
        root = pathlib.Path(folder)
        for name in (*(f"opt/cicd-sensor/{program}" for program in PROGRAMS),
                     "opt/cicd-sensor/github-job-started.sh",
                     "opt/cicd-sensor/github-job-completed.sh"):
            assert os.access(root / name, os.X_OK), name
        assert (root / "etc/cicd-sensor").stat().st_mode & 0o777 == 0o750
        settings = root / "etc/cicd-sensor/cicd-sensor.env"
        settings.write_text("CICD_SENSOR_PROVIDER=generic\n")
        subprocess.run(install, cwd=SOURCE, check=True, capture_output=True)
        assert settings.read_text() == "CICD_SENSOR_PROVIDER=generic\n"


def test_names_and_contents_of_a_release():
    deb, archive = packages()
    assert deb.name == f"cicd-sensor_{version()}_{ARCH}.deb"
    assert archive.name == f"cicd-sensor_{version()}_linux_{ARCH}.tar.gz"
    with tarfile.open(archive) as tar:
        names = {member.name.rstrip("/"): member for member in tar}
    for name in (*(f"{program}-linux-{ARCH}" for program in PROGRAMS), f"systemd/{AGENT}",
                 f"systemd/{PROXY}", "systemd/cicd-sensor.env", "github-job-started.sh",
                 "github-job-completed.sh", "examples/docker.socket.d/override.conf",
                 "doc/install-self-hosted.md", "doc/LICENSE", "doc/LICENSES.third-party"):
        assert name in names, f"{archive.name} has no {name}"
    assert not [name for name in names if name.startswith(("/", "opt", "usr"))], names
    listed = subprocess.run(["dpkg-deb", "-c", deb], capture_output=True, text=True,
                            check=True).stdout
    for line in (rf"^drwxr-x--- root/root .* \./etc/cicd-sensor/$",
                 rf"^-rw-r--r-- root/root .* \./usr/lib/systemd/system/{AGENT}$",
                 rf"^-rwxr-xr-x root/root .* \./opt/cicd-sensor/cicd-sensor$",
                 r"\./usr/bin/cicd-sensor -> /opt/cicd-sensor/cicd-sensor$"):
        assert re.search(line, listed, re.MULTILINE), f"no {line} in {listed}"
    # Docker's socket is moved by whoever installs the proxy, never by a package.
    assert "./etc/systemd" not in listed and "./usr/lib/systemd/system/docker" not in listed, listed
    third = subprocess.run(["tar", "-xzOf", archive, "doc/LICENSES.third-party"], check=True,
                           capture_output=True, text=True).stdout
    for library in ("libbpf-dev", "libc6-dev", "libelf-dev", "libssl-dev", "libyaml-cpp-dev"):
        assert f"==== {library}" in third, f"no licence of {library}"


def test_release_programs_run_on_an_older_system():
    archive = packages()[1]
    there = world("bullseye")
    old = there.root / "old"
    subprocess.run(["tar", "-xzf", archive, "-C", old], check=True)
    assert "2.31" in there.run("ldd", "--version", ok=None).stdout + "".join(
        path.name for path in (there.root / "lib/x86_64-linux-gnu").glob("libc-*")), "glibc 2.31"
    program = f"/old/cicd-sensor-linux-{ARCH}"
    assert there.run(program, "--version").stdout == f"cicd-sensor {version()}\n"
    assert "Usage" in there.run(f"/old/cicd-sensorctl-linux-{ARCH}", "--help").stdout
    there.run(f"/old/cicd-sensorctl-linux-{ARCH}", "rule", "validate", "/old/rules")
    # What is built for this system does not run there; or this test would show nothing.
    if BUILD.name != "static":
        shutil.copy(SENSOR, old / "of-here")
        assert there.run("/old/of-here", "--version", ok=None).returncode != 0
    doctor = there.run(program, "doctor", ok=None)
    here = subprocess.run([SENSOR, "doctor"], capture_output=True, text=True, check=False)
    assert doctor.returncode == here.returncode and "process_exec" in doctor.stdout, doctor
    # Users are looked up, and nsswitch.conf names a module that is not there.
    (there.root / "etc/nsswitch.conf").write_text("passwd: systemd files\ngroup: systemd files\n")
    done = there.run(program, "run", "--output", "/old/out", "--user", "nobody", "--", "sh", "-c",
                     "id -un; true")
    assert done.stdout == "nobody\n", done
    assert '"exec_path":"/usr/bin/id"' in (old / "out/events.jsonl").read_text()


HOOKS = """
export GITHUB_SERVER_URL=https://github.com GITHUB_RUN_ID=7 GITHUB_REPOSITORY=octo/app GITHUB_JOB=build
export GITHUB_RUN_ATTEMPT=1 RUNNER_TRACKING_ID=github_7
/opt/cicd-sensor/github-job-started.sh; echo "started: $?"
cat /etc/debian_version
%s
/opt/cicd-sensor/github-job-completed.sh; echo "completed: $?"
"""


RUNNER = """[Service]
Type=oneshot
ExecStart=/old/Runner.Worker -c "sh /old/hooks; exit"
StandardOutput=truncate:/old/output
StandardError=inherit
"""


def github_job(there, between="", is_service=False):
    """Runs the hooks as a runner's worker does, with its name, in a service if wanted; what they
    print."""
    worker = there.root / "old/Runner.Worker"
    if not worker.exists():
        shutil.copy(there.root / "bin/dash", worker)
    (there.root / "old/hooks").write_text(HOOKS % between)
    if is_service:
        (there.root / "etc/systemd/system/runner.service").write_text(RUNNER)
        there.run("systemctl", "daemon-reload")
        there.run("systemctl", "start", "runner.service", ok=None)
        return (there.root / "old/output").read_text()
    done = there.run("/old/Runner.Worker", "-c", "sh /old/hooks; exit", ok=None)
    return done.stdout + done.stderr


def test_a_package_and_its_hooks_without_systemd():
    there = world("bullseye")
    deb = packages()[0]
    there.install(deb)
    assert there.run("cicd-sensor", "--version").stdout == f"cicd-sensor {version()}\n"
    assert not (there.root / "run/cicd-sensor").exists(), "nothing was started"
    settings = there.root / "etc/cicd-sensor/cicd-sensor.env"
    settings.write_text("CICD_SENSOR_PROVIDER=github\n# ours\n")
    there.install(deb)
    assert "# ours" in settings.read_text()
    # Without an agent the job does not begin.
    output = github_job(there)
    assert "started: 1" in output and "::error title=cicd-sensor::" in output, output
    words = [word for word in commands_of(AGENT) if not word.startswith("$CICD")]
    words[words.index("${CICD_SENSOR_PROVIDER}")] = "github"
    with open(there.folder / "agent.log", "wb") as log:
        agent = there.start(*words, stderr=log)
    try:
        wait_until((there.folder / "agent.log").read_text, "the agent's first line")
        wait_until(lambda: "agent_started" in (there.folder / "agent.log").read_text(), "an agent")
        output = github_job(there)
        assert "started: 0" in output and "completed: 0" in output, output
        assert "::error" not in output, output
        found = list((there.root / "var/lib/cicd-sensor/jobs").glob("*/host/summary.json"))
        assert len(found) == 1 and '"host_end"' in found[0].read_text(), found
        # A job that somebody ends early fails.
        output = github_job(there, "cicd-sensor host end")
        assert "started: 0" in output and "completed: 1" in output, output
        assert "::error title=cicd-sensor::" in output, output
    finally:
        agent.terminate()
        agent.wait(20)
    there.run("dpkg", "--purge", "cicd-sensor")
    assert not (there.root / "opt/cicd-sensor").exists() and not settings.exists()
    assert found[0].exists(), "what was seen of jobs stays"


def agent_log(there):
    return there.run("journalctl", "--no-pager", "--output=cat", f"--unit={AGENT}").stdout


def answers(there):
    return there.run("cicd-sensor", "status", ok=None).returncode == 0


def main_pid(there):
    return there.run("systemctl", "show", "--value", "--property=MainPID", AGENT).stdout.strip()


def of_agent(there, name):
    """A file below /proc/PID of the agent."""
    return there.run("sh", "-c", f"cat /proc/{main_pid(there)}/{name}").stdout


def test_units_under_systemd():
    there = world("bookworm")
    there.boot_once()
    output = there.install(packages()[0])
    assert "old one" not in output, output
    for question in ("is-active", "is-enabled"):
        assert there.run("systemctl", question, AGENT, ok=None).returncode != 0, "it started by itself"
    there.run("systemctl", "enable", "--now", AGENT)
    wait_until(lambda: answers(there), "an agent")
    pid = main_pid(there)
    # The end of a job is tested above: an agent whose processes have a namespace of their own, as
    # this systemd's have, does not recognise who asks for it.
    output = github_job(there, is_service=True)
    assert "started: 0" in output and "job_started" in agent_log(there), output
    modes = there.run("stat", "-c", "%a", "/var/lib/cicd-sensor", "/run/cicd-sensor").stdout
    assert modes == "750\n755\n", modes
    assert of_agent(there, "root/run/credentials/*/manager_token") == "none", "a token without a file"
    may_set_oom_score = int(of_agent(there, "status").split("CapBnd:")[1].split()[0], 16) >> 24 & 1
    if may_set_oom_score:  # CAP_SYS_RESOURCE, which a machine may keep from all of its processes
        assert of_agent(there, "oom_score_adj") == "-1000\n"
    refused = there.run("systemctl", "stop", AGENT, ok=None)
    assert refused.returncode != 0 and "refused" in refused.stderr, refused
    (there.root / "etc/cicd-sensor/manager-token").write_text("sk_cs_of_the_site")
    there.run("systemctl", "kill", AGENT)
    wait_until(lambda: main_pid(there) not in ("0", pid) and answers(there), "the next agent")
    assert of_agent(there, "root/run/credentials/*/manager_token") == "sk_cs_of_the_site"
    # An update says that the agent is the old one; a removal ends it.
    assert "systemctl kill" in there.install(packages()[0])
    assert there.run("systemctl", "is-active", AGENT).stdout == "active\n"
    there.run("dpkg", "--remove", "cicd-sensor")
    assert there.run("systemctl", "is-active", AGENT, ok=None).returncode != 0
    assert there.run("pgrep", "-x", "cicd-sensor", ok=None).returncode != 0
    assert list((there.root / "var/lib/cicd-sensor/jobs").glob("*/host/summary.json"))


def blocks_of(page):
    """(heading, text) of each block of commands."""
    heading, lines, inside = "", [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line == "```sh":
            lines, inside = [], True
        elif line == "```" and inside:
            inside = False
            yield heading, "\n".join(lines).replace("0.1.0", version()).replace("amd64", ARCH) + "\n"
        elif inside:
            lines.append(line)


def test_profiles_can_be_read():
    for tool in ("apparmor_parser", "checkmodule", "semodule_package"):
        if not shutil.which(tool):
            raise Skip(tool)
    profile = (SOURCE / "packaging/apparmor/cicd-sensor").read_text()
    assert parsed_by_apparmor(profile).returncode == 0, parsed_by_apparmor(profile)
    assert parsed_by_apparmor(profile.replace("capability bpf", "capability bfp")).returncode != 0
    module = SOURCE / "packaging/selinux/cicd_sensor"
    with tempfile.TemporaryDirectory() as folder:
        made = f"{folder}/cicd_sensor"
        for command in (["checkmodule", "-M", "-m", "-o", f"{made}.mod", f"{module}.te"],
                        ["semodule_package", "-o", f"{made}.pp", "-m", f"{made}.mod", "-f",
                         f"{module}.fc"]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done
    # Every type that files are labelled with is one of the module's.
    types = set(re.findall(r"object_r:(\w+):", pathlib.Path(f"{module}.fc").read_text()))
    assert types <= set(re.findall(r"^type (\w+),", pathlib.Path(f"{module}.te").read_text(), re.M))


def parsed_by_apparmor(profile):
    return subprocess.run(["apparmor_parser", "--skip-kernel-load", "--skip-cache"], input=profile,
                          capture_output=True, text=True, check=False)


def test_commands_of_the_install_page():
    page = SOURCE / "docs/install-self-hosted.md"
    by_hand = "From the archive"
    for suite, is_here in (("bullseye", lambda heading: heading == by_hand),
                           ("bookworm", lambda heading: heading != by_hand)):
        there = world(suite)
        there.boot_once()
        for package in packages():
            shutil.copy(package, there.root / "root")
        blocks = [text for heading, text in blocks_of(page) if is_here(heading)]
        assert blocks, suite
        for text in blocks:
            there.run("sh", "-c", "cd /root && set -e\n" + text)
            if "cicd-sensor status" in text:
                assert "--rules-file" in of_agent(there, "cmdline")
            if text.startswith("systemctl enable --now cicd-sensor-docker-proxy"):
                assert there.run("docker", "info").stdout.count("Server Version") == 1
    assert world("bullseye").run("cicd-sensor", "--version").stdout == f"cicd-sensor {version()}\n"


if __name__ == "__main__":
    try:
        run_tests(globals())
    finally:
        for each in WORLDS.values():
            if isinstance(each, Debian):
                each.close()
