#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What raw sockets of a job ask, in a network namespace that the job has come to: a table of nftables leads it
to the resolver. Nobody but the sensor takes that away, and it goes with the sensor."""
import pathlib
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "support"), str(HERE.parent / "agent")]
from lab import LIBC, MS_BIND, check  # noqa: E402
from live_agent import Agent, wait_until  # noqa: E402
from namespace_test import NAME, POLICY, lab, outcomes, run  # noqa: E402
from sensor import rows_of, run_tests  # noqa: E402

ALLOWED, DENIED = "rcode 0 answers 1", "rcode 5 answers 0"
# As Docker has it in networks that users make, for its own resolver.
NAT_OF_DOCKER = ("table ip docker { chain out { type nat hook output priority -100; ip daddr 127.0.0.11 udp dport 53 "
                 "dnat to 127.0.0.11:9; }; }")


def table():
    """As root in the namespace sees it."""
    return subprocess.run(["ip", "netns", "exec", NAME, "nft", "list", "table", "inet", "cicd_sensor"],
                          capture_output=True, text=True, check=False).stdout


def test_they_are_answered_by_the_resolver():
    place = lab()
    with run("inside raw_question raw_question_denied raw_connection; inside raw_header raw_header_denied; "
             "inside raw_question6 raw_question6_denied") as done:
        assert outcomes(done) == [
            {"raw_question": ALLOWED, "raw_question_denied": DENIED, "raw_connection": "taken"},
            {"raw_header": ALLOWED, "raw_header_denied": DENIED},
            {"raw_question6": ALLOWED, "raw_question6_denied": DENIED}], done.stdout + done.stderr
        assert "denied.test" not in place.questions()
        rows = [row for row in rows_of(done.folder / "out" / "violations.jsonl")
                if row["reason"] == "domain_not_in_allowlist"]
        assert {(row["destination"]["host"], row["verdict"]) for row in rows} == {("denied.test", "block")}, rows
        assert sum(int(row["count"]) for row in rows) == 3, rows
        assert "resolver" not in done.losses(), done.summary["losses"]
        assert table() == "", "it is gone with the job, and the namespace is there"


def test_where_connections_are_tracked_already():
    """What was denied before there was a table is known to the kernel as a connection that is not led; who
    tries again from that port is answered all the same."""
    place = lab()
    subprocess.run(["ip", "netns", "exec", NAME, "nft", NAT_OF_DOCKER], check=True)
    with run("inside raw_question raw_question_denied raw_connection; inside raw_question6 raw_question6_denied"
             ) as done:
        assert outcomes(done) == [
            {"raw_question": ALLOWED, "raw_question_denied": DENIED, "raw_connection": "taken"},
            {"raw_question6": ALLOWED, "raw_question6_denied": DENIED}], done.stdout + done.stderr
        assert "denied.test" not in place.questions()


def test_other_raw_packets_are_denied_as_ever():
    place = lab()
    with run("inside raw_question raw_icmp") as done:
        assert outcomes(done) == [{"raw_question": ALLOWED, "raw_icmp": "EPERM"}], done.stdout + done.stderr
        assert not place.contacts(), place.contacts()


def test_answers_do_not_leave_the_namespace():
    """What is asked in the name of an address outside would be carried there by the answer."""
    place = lab()
    with run("inside raw_question raw_spoofed") as done:
        assert outcomes(done) == [{"raw_question": ALLOWED, "raw_spoofed": "ok"}], done.stdout + done.stderr
        assert not place.contacts(), place.contacts()


def test_root_of_the_namespace_cannot_take_it_away():
    lab()
    subprocess.run(["ip", "netns", "exec", NAME, "nft", NAT_OF_DOCKER], check=True)
    with run("inside raw_question nft_table nft_attack raw_header raw_header_denied; inside nft_table") as done:
        found = outcomes(done)
        assert found[0].pop("nft_attack") == "0 1 1 1", found
        assert "flags owner" in found[0]["nft_table"], found
        assert found[1]["nft_table"] == found[0].pop("nft_table"), found
        assert found[0] == {"raw_question": ALLOWED, "raw_header": ALLOWED, "raw_header_denied": DENIED}, found


def test_others_in_the_namespace_are_not_led():
    """They are no job's, and the resolver would refuse them: who is there besides has its names as before."""
    place = lab()
    folder = pathlib.Path(place.folder)
    words = f"inside raw_question; touch {folder}/asked; while [ ! -e {folder}/go ]; do sleep 0.05; done"
    code = ("import sys; sys.path.insert(0, %r)\nimport acts\n"
            "print(acts.raw_rcode('denied.test', server='198.18.0.1')(), acts.rcode('denied.test', '198.18.0.1')())"
            % str(HERE))
    other = subprocess.Popen(
        ["bash", "-c", f"while [ ! -e {folder}/asked ]; do sleep 0.05; done; "
         f"ip netns exec {NAME} {sys.executable} -c \"{code}\"; touch {folder}/go"],
        stdout=subprocess.PIPE, text=True)
    with run(words) as done:
        assert outcomes(done) == [{"raw_question": ALLOWED}], done.stdout + done.stderr
        assert other.communicate(timeout=60)[0] == f"{ALLOWED} {ALLOWED}\n"
    for name in ("asked", "go"):
        (folder / name).unlink()


def hidden(path):
    """Nothing that can be run or loaded, where there is this file."""
    check(LIBC.mount(b"/dev/null", path.encode(), None, MS_BIND, None), path)


def shown(path):
    check(LIBC.umount2(path.encode(), 0), path)


def test_without_raw_sockets_there_is_no_table():
    """It would have the kernel track all connections of the namespace."""
    lab()
    with run("inside own_server_allowed nft_tables") as done:
        assert outcomes(done) == [{"own_server_allowed": ALLOWED, "nft_tables": "tables: "}], done.stdout + done.stderr


def test_without_nft():
    lab()
    path = str(pathlib.Path("/usr/sbin/nft").resolve())
    hidden(path)
    try:
        with run("inside own_server_allowed raw_question") as done:
            assert outcomes(done) == [{"own_server_allowed": ALLOWED, "raw_question": "EPERM"}], done.stdout
            assert "resolver" not in done.losses(), done.summary["losses"]
    finally:
        shown(path)


def test_with_an_nft_that_does_not_work():
    """Its library is missing."""
    lab()
    library = next(word for word in subprocess.run(["ldd", "/usr/sbin/nft"], capture_output=True, text=True,
                                                   check=True).stdout.split() if word.startswith("/") and
                   "libnftables" in word)
    path = str(pathlib.Path(library).resolve())
    hidden(path)
    try:
        with run("inside own_server_allowed raw_question") as done:
            assert outcomes(done) == [{"own_server_allowed": ALLOWED, "raw_question": "EPERM"}], done.stdout
            reasons = {entry["reason"]: entry["count"] for entry in done.summary["losses"]
                       if entry["what"] == "resolver"}
            assert {reason: int(count) for reason, count in reasons.items()} == {"raw_questions_denied": 1}, reasons
    finally:
        shown(path)


def test_it_goes_with_a_killed_agent_and_comes_with_the_next():
    place = lab()
    path = pathlib.Path(place.folder, "policy.yaml")
    path.write_text(POLICY)
    with Agent(flags=["--policy", str(path), "--mode", "enforce"]) as agent:
        job = agent.github_job("1", f"""
            inside() {{ ip netns exec {NAME} {sys.executable} {HERE}/acts.py "$@"; echo; }}
            wait_for() {{ while [ ! -e "$1" ]; do sleep 0.02; done; }}
            $S host start $F || exit 1
            inside raw_question; ip netns exec {NAME} sleep 60 & touch asked
            wait_for killed; inside raw_question; touch tried
            wait_for back; inside raw_question raw_question_denied
            kill %1; $S host end $F""", wait=False)
        wait_until(lambda: (agent.folder / "asked").exists(), "the job asks")
        assert "flags owner" in table()
        agent.stop(signal.SIGKILL)
        wait_until(lambda: table() == "", "the table goes", 5)
        (agent.folder / "killed").write_text("")
        wait_until(lambda: (agent.folder / "tried").exists(), "the job has asked without an agent")
        agent.start()
        assert table() == "", "nobody has made a raw socket since"
        (agent.folder / "back").write_text("")
        assert job.wait().process.returncode == 0, job.output() + agent.log()
        assert outcomes_of(job) == [{"raw_question": ALLOWED}, {"raw_question": "EPERM"},
                                    {"raw_question": ALLOWED, "raw_question_denied": DENIED}], job.output()
        assert table() == ""


def outcomes_of(job):
    class Done:
        stdout = job.output()
    return outcomes(Done)


if __name__ == "__main__":
    run_tests(globals())
