#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""report.html of a real job with hostile names, opened in a real browser: it must load nothing,
complain of nothing, keep what the job wrote as text, and answer searches. A second job makes
200,000 events.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from browser import Browser, chromium  # noqa: E402
from sensor import BUILD, SENSOR, SOURCE, Run, Skip, run_tests  # noqa: E402

# Each would do something, were it taken for markup, script, an escape sequence or layout.
HOSTILE = [b"</script><script>document.title='owned'</script>", b"<img src=x onerror=alert(1)>",
           b"</noscript><h1>owned</h1>", b"' onmouseover='alert(2)", b'" autofocus onfocus="alert(3)',
           "abc\u202egpj.exe".encode(), b"bell\x07\x1b[31mred", b"line\nbreak", b"bytes\xff\xfe",
           "\u2028separator".encode(), b"{{data}}", b"\xee\x80\x80fake escape\xee\x80\x81",
           "z\u0301\u0301\u0301\u0301algo".encode(), b"<!--", b"&lt;b&gt;"]

HOSTILE_JOB = r"""
import os, socket, sys
folder = sys.argv[1].encode()
names = [bytes.fromhex(name) for name in sys.argv[2:]]
for name in names:
    with open(os.path.join(folder, name.replace(b"/", b"\xe2\x88\x95")), "wb") as file:
        file.write(b"x")
    child = os.fork()
    if child == 0:
        os.execv("/bin/true", [b"true", name[:12]])
    os.waitpid(child, 0)
secret = os.path.join(folder, b".aws")
os.mkdir(secret)
open(os.path.join(secret, b"credentials"), "wb").close()
open(os.path.join(secret, b"credentials"), "rb").close()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.connect(("127.0.0.1", 9))
os.system("exit 3")
"""

RULES = """
rule_sets:
  - ruleset_id: e2e/report
    rules:
      - rule_id: hostile_file
        rule_name: <img src=x onerror=alert(4)>
        description: "</script><script>document.title='owned'</script>"
        event_type: file_open
        condition: |
          is_write &&
          path.contains("owned")
        action: detect
      - rule_id: connects
        rule_name: Connects somewhere
        event_type: network_connect
        condition: remote_port == 9
        action: collect
      - rule_id: lists
        rule_name: Lists the root
        event_type: process_exec
        condition: process.exec_path.endsWith("/ls")
        action: detect
"""

MANY = r"""
import os, sys
folder = sys.argv[1]
for i in range(200000):
    try:
        os.open(f"{folder}/component{i // 50}/include/header{i}.h", os.O_RDONLY)
    except OSError:
        pass
"""


PLACE = tempfile.TemporaryDirectory(prefix="cicd-report-")
RULES_FILE = pathlib.Path(PLACE.name) / "rules.yaml"
RULES_FILE.write_text(RULES)


def hostile_run():
    with tempfile.TemporaryDirectory(prefix="cicd-report-") as folder:
        work = pathlib.Path(folder) / "work"
        work.mkdir()
        return Run(["/usr/bin/python3", "-c", HOSTILE_JOB, work, *(name.hex() for name in HOSTILE)],
                   flags=["--rules", str(RULES_FILE), "--baseline", "off"], name="<b>job</b> \u202e name")


RUN = hostile_run()
REPORT = RUN.events_path.parent / "report.html"
BROWSER = Browser() if chromium() else None


def opened(path=None, **options):
    if BROWSER is None:
        raise Skip("chromium")
    page = BROWSER.open(path or REPORT, **options)
    if options.get("scripts", True):
        page.settle()
    return page


def is_quiet(page):
    assert not page.complaints, page.complaints
    assert not page.requests, page.requests
    assert "owned" not in page.evaluate("document.title"), "a script of the job ran"


def test_the_page_is_written():
    assert RUN.exit_code == 0, RUN.stderr[-500:]
    assert REPORT.is_file(), RUN.files
    assert "report.html" in RUN.stderr, "the terminal report does not name it"


def test_no_complaint_and_no_request():
    page = opened()
    is_quiet(page)
    assert page.evaluate("document.getElementById('app').hidden") is False


def test_the_policy_holds():
    """What it forbids does not work, so it is in force."""
    page = opened()
    page.evaluate("""(() => { const s = document.createElement('script');
        s.textContent = 'window.injected = 1'; document.body.append(s); })()""")
    assert page.evaluate("window.injected") is None, "an inline script ran"
    answer = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', error => String(error))")
    page.settle()
    assert answer != "sent" and page.complaints, "a request was not refused by the policy"
    assert all("Content Security Policy" in text or "Failed to fetch" in text
               for text in page.complaints), page.complaints


def test_hostile_text_is_text():
    page = opened()
    texts = page.evaluate("document.body.innerText")
    for element in ("main img", "main script", "main b[onmouseover]", "[onerror]", "[onfocus]", "[autofocus]"):
        assert page.evaluate(f"document.querySelectorAll({json.dumps(element)}).length") == 0, element
    assert "<img src=x onerror=alert(4)>" in texts, "the rule's name does not show as it is"
    assert "<b>job</b>" in texts, "the job's name does not show as it is"
    assert "\u202e" not in texts and "\\u{202e}" in texts, "an override is not spelled out"


def test_what_was_spelled_out_is_marked():
    page = opened()
    page.type("#events input[type=search]", "gpj.exe")
    marked = page.evaluate("[...document.querySelectorAll('#events .esc')].map(node => node.textContent)")
    assert "\\u{202e}" in marked, marked
    page.type("#events input[type=search]", "fake escape")
    marked = page.evaluate("[...document.querySelectorAll('#events .words .esc')].map(node => node.textContent)")
    assert marked and set(marked) == {"\\u{e000}", "\\u{e001}"}, marked


def test_first_screen_answers():
    page = opened()
    assert page.evaluate("document.querySelector('.verdict h1').textContent") == "Detected"
    happened = page.evaluate("document.getElementById('happened').innerText")
    assert "python3" in happened and "wrote" in happened, happened[:400]
    went = page.evaluate("document.getElementById('went').innerText")
    assert "127.0.0.1" in went and "python3" in went, went
    touched = page.evaluate("document.getElementById('touched').innerText")
    assert ".aws/credentials" in touched and "aws credentials" in touched, touched


def test_why_shows_condition_and_values():
    page = opened()
    page.evaluate("document.querySelector('#happened .why-button').click()")
    why = page.evaluate("document.querySelector('#happened .why').innerText")
    for text in ("path.contains", "is_write", "true", "owned"):
        assert text in why, f"no {text} in {why}"
    fields = page.evaluate("[...document.querySelectorAll('#happened .condition .field')].map(n => n.textContent)")
    assert "is_write" in fields, fields
    is_quiet(page)


def test_tree_collapses_and_opens():
    page = opened()
    count = "document.querySelectorAll('#tree .row:not([hidden])').length"
    before = page.evaluate(count)
    assert before > 3, before
    page.evaluate("document.querySelector('#tree .twist:not(span)').click()")
    page.settle()
    assert page.evaluate(count) == 1, "the root does not collapse"
    page.evaluate("document.querySelector('#tree .scroller').focus()")
    for key in ("ArrowRight", "ArrowDown"):
        page.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        page.settle()
    assert page.evaluate(count) == before, "the arrow key does not open it again"
    current = page.evaluate("document.querySelector('#tree .scroller').getAttribute('aria-activedescendant')")
    assert current.endswith("-1"), current


def test_tree_search_finds_programs():
    page = opened()
    page.type("#tree input[type=search]", "usr/bin/true")
    note = page.evaluate("document.querySelector('#tree .note').textContent")
    assert note.startswith(f"{len(HOSTILE)} processes"), note
    page.type("#tree input[type=search]", "no such program")
    assert "nothing" in page.evaluate("document.querySelector('#tree .note').textContent")


def test_events_filter():
    page = opened()
    note = "document.querySelector('#events .bar + .bar .note').textContent"
    all_events = page.evaluate(note)
    assert all_events == f"{int(RUN.summary['events_total']):,} events", all_events
    page.type("#events input[type=search]", "credentials")
    found = page.evaluate("[...document.querySelectorAll('#events .row:not([hidden]) .words')].map(n => n.textContent)")
    assert found and all("credentials" in text for text in found), found
    page.type("#events input[type=search]", "")
    for name in ("Processes", "Files read", "Files changed", "Names, HTTP", "System"):
        page.evaluate(f"[...document.querySelectorAll('.kind')].find(n => n.textContent === '{name}').click()")
    page.settle()
    verbs = page.evaluate("[...document.querySelectorAll('#events .row:not([hidden]) .verb')].map(n => n.textContent)")
    assert verbs and set(verbs) == {"connected to"}, verbs


def test_details_open_and_close_with_the_keyboard():
    page = opened()
    page.evaluate("document.querySelector('#events .scroller').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter")
    assert page.evaluate("document.querySelector('.drawer').hidden") is False
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    assert page.evaluate("document.querySelector('.drawer').hidden") is True
    focus = page.evaluate("document.activeElement.className")
    assert focus == "scroller", f"the focus went to {focus}"


def test_timeline_picks_a_stretch():
    page = opened()
    page.evaluate("document.querySelector('canvas').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    page.settle()
    note = page.evaluate("document.querySelector('#events .bar + .bar .note').textContent")
    assert " of " in note, note
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    page.settle()
    note = page.evaluate("document.querySelector('#events .bar + .bar .note').textContent")
    assert " of " not in note, note


def test_without_javascript_a_summary_shows():
    page = opened(scripts=False)
    text = page.evaluate("document.body.innerText")
    for words in ("Detected", "What happened", "hostile_file", "Where it went", "127.0.0.1:9/udp",
                  "Sensitive files", ".aws/credentials"):
        assert words in text, f"no '{words}' in {text[:600]}"
    is_quiet(page)


def test_no_theme_or_width_makes_it_scroll_sideways():
    for width, dark in ((1600, True), (1024, False), (400, True)):
        page = opened(width=width, dark=dark)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} pixels wide on a screen of {width}"
        is_quiet(page)


CONTRAST = """(() => {
  const luminance = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = node => { for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$/.test(colour) && colour !== 'transparent') return colour; } return 'rgb(255,255,255)'; };
  const bad = [];
  for (const node of document.querySelectorAll('#app *')) {
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim())) continue;
    if (!node.offsetParent) continue;
    const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${node.className || node.tagName}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(bad)]; })()"""


def test_contrast_is_enough_in_both_themes():
    for dark in (False, True):
        page = opened(dark=dark)
        page.evaluate("document.querySelector('#happened .why-button').click()")
        bad = page.evaluate(CONTRAST)
        assert not bad, f"{'dark' if dark else 'light'}: {bad}"


def test_what_can_be_pressed_has_a_name():
    page = opened()
    bare = page.evaluate("""[...document.querySelectorAll('button, input, a, [tabindex="0"]')].filter(node =>
        !(node.textContent.trim() || node.getAttribute('aria-label') || node.closest('label'))).length""")
    assert bare == 0, f"{bare} controls without a name"


def test_prints():
    page = opened()
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        page.pdf(file.name)
        assert os.path.getsize(file.name) > 10_000, "an empty page"
    page.call("Emulation.setEmulatedMedia", media="print")
    hidden = page.evaluate("['nav', '#events', '#tree'].every(s => !document.querySelector(s).offsetHeight)")
    assert hidden, "what is for the screen only is printed"
    assert page.evaluate("document.querySelector('.print-only').offsetHeight > 0"), "no printed tree"


def test_two_hundred_thousand_events():
    with tempfile.TemporaryDirectory(prefix="cicd-report-") as folder:
        with Run(["/usr/bin/python3", "-c", MANY, folder], name="many") as run:
            report = run.events_path.parent / "report.html"
            assert int(run.summary["events_total"]) >= 200_000, run.summary["events_total"]
            assert report.stat().st_size < 10 << 20, report.stat().st_size
            page = opened(report)
            is_quiet(page)
            note = page.evaluate("document.querySelector('#events .bar + .bar .note').textContent")
            kept = int(note.split()[0].replace(",", ""))
            assert kept == int(run.summary["events_total"]), f"{note}: some are not in the page"
            rows = page.evaluate("document.querySelectorAll('#events .row').length")
            assert rows < 100, f"{rows} rows exist at once"
            page.evaluate("document.querySelector('#events .scroller').scrollTop = 1e9")
            page.settle()
            assert page.evaluate("document.querySelector('#events').innerText").count("exit code") >= 1


def test_replay_makes_the_same_page():
    with tempfile.TemporaryDirectory(prefix="cicd-report-") as folder:
        recording, output = f"{folder}/job.rec", f"{folder}/out"
        with Run(["/bin/cat", "/etc/hostname"], flags=["--record", recording]) as run:
            assert "report.html" in run.files, run.files
        done = subprocess.run([str(SENSOR), "replay", recording, "--output", output, "--quiet"],
                              check=False, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        page = opened(pathlib.Path(output) / "report.html")
        is_quiet(page)
        page.type("#events input[type=search]", "/etc/hostname")
        words = page.evaluate("[...document.querySelectorAll('#events .row:not([hidden]) .words')].map(n => n.textContent)")
        assert "/etc/hostname" in words, words


def made_by_ctl(folder, *flags):
    return subprocess.run([str(BUILD / "cicd-sensorctl"), "report", "html", *flags, str(folder)],
                          check=False, capture_output=True, timeout=60)


# What must be the same in a page that was made from the rows.
FACTS = """(() => { const data = JSON.parse(document.getElementById('data').textContent);
  const tree = [...document.querySelectorAll('#tree .row:not([hidden])')].map(row =>
      row.getAttribute('aria-level') + row.querySelector('.name').textContent + row.querySelector('.pid').textContent);
  return {result: data.result, events: data.events.type, alerts: data.alerts, values: data.values, tree,
          said: document.querySelector('.said').textContent, went: document.getElementById('went').innerText,
          happened: document.getElementById('happened').innerText.replace(/[+]\\S+ s/g, '')}; })()"""


def test_ctl_makes_the_page_from_the_rows():
    with tempfile.TemporaryDirectory(prefix="cicd-report-") as folder:
        # Names that are no text cannot come back from the rows: a job without them.
        job = "cat /etc/hostname; (exec true x y); sh -c 'ls / >/dev/null; exec true z'"
        with Run(["/bin/sh", "-c", job], flags=["--rules", str(RULES_FILE)]) as run:
            output = run.events_path.parent
            made = pathlib.Path(folder) / "made.html"
            done = made_by_ctl(output, "--output-file", str(made))
            assert done.returncode == 0, done.stderr
            first, second = opened(output / "report.html"), opened(made)
            is_quiet(second)
            wanted, got = first.evaluate(FACTS), second.evaluate(FACTS)
            for name, value in wanted.items():
                assert got[name] == value, f"{name}: {got[name]} instead of {value}"
            assert "Lists the root" in wanted["happened"], wanted["happened"]
            on_stdout = made_by_ctl(output)
            assert on_stdout.stdout == made.read_bytes(), "standard output has another page"


DOCUMENT = SOURCE / "tests/fuzz/corpus/result_document/document"


def ctl_of_document(*words, document=None):
    return subprocess.run([str(BUILD / "cicd-sensorctl"), "report", *words], check=False, timeout=60,
                          capture_output=True, input=DOCUMENT.read_bytes() if document is None else document)


def test_ctl_makes_a_page_of_a_result_document():
    with tempfile.TemporaryDirectory(prefix="cicd-report-") as folder:
        made = pathlib.Path(folder) / "made.html"
        done = ctl_of_document("html", "--output-file", str(made))
        assert done.returncode == 0, done.stderr
        page = opened(made)
        is_quiet(page)
        facts = page.evaluate(FACTS)
        assert facts["result"] == "detected" and "a.test" in facts["went"], facts
        assert "10.0.0.1:443/tcp" in facts["went"] and any(row == "2a -x7" for row in facts["tree"]), facts
        assert "result document" in page.evaluate("document.body.innerText")
        assert ctl_of_document("html", "-").stdout == made.read_bytes()


def test_ctl_makes_markdown_of_a_result_document():
    done = ctl_of_document("stepsummary", "--html-url", "https://ci.example/1")
    text = done.stdout.decode()
    assert done.returncode == 0 and text.startswith("## cicd-sensor: detected\n"), done
    for part in ("| collect | <code>r</code> n | 1 |", "a&#46;test", "(<https://ci.example/1>)"):
        assert part in text, f"{part}: {text}"
    alone = ctl_of_document("stepsummary", "--health-failed", document=b"")
    assert alone.returncode == 0 and b"[!CAUTION]" in alone.stdout, alone
    for words, document, code in ((["stepsummary"], b"", 1), (["stepsummary"], b"{}", 1), (["html"], b"[", 1),
                                  (["stepsummary", "--health-failed"], b"x", 1), (["stepsummary", "x"], b"", 2),
                                  (["stepsummary", "--html-url", "javascript:x"], b"", 2), (["pdf"], b"", 2)):
        done = ctl_of_document(*words, document=document)
        assert done.returncode == code and done.stderr and not done.stdout, (words, done)


def test_ctl_says_what_is_wrong_with_a_folder():
    with tempfile.TemporaryDirectory(prefix="cicd-report-") as folder:
        done = made_by_ctl(folder)
        assert done.returncode == 1 and b"no summary.json" in done.stderr, done.stderr
        (pathlib.Path(folder) / "summary.json").write_text("{}")
        done = made_by_ctl(folder)
        assert done.returncode == 1 and b"no summary of cicd-sensor" in done.stderr, done.stderr
        assert not done.stdout, "a page of nothing"
        assert made_by_ctl(folder, "--colour").returncode == 2


def test_ctl_leaves_out_damaged_rows_and_says_so():
    with Run(["/bin/true"]) as run:
        with open(run.events_path, "a", encoding="utf-8") as rows:
            rows.write('{"event":\n[1]\n{"event":{"type":"x","process":{}}}\n{"event":{"type":"file_open","process":'
                       '{"pid":"x","argv":[1],"ancestors":[1,{}]},"file_open":7,"tags":[1]}}\n')
        done = made_by_ctl(run.events_path.parent)
        assert done.returncode == 1 and b"could not be read: 4" in done.stderr, done.stderr
        assert done.stdout.endswith(b"</html>\n"), done.stdout[-100:]


def test_no_page_when_it_is_not_wanted():
    with Run(["/bin/true"], flags=["--report", "json"]) as run:
        assert "report.html" not in run.files, run.files
        output = run.events_path.parent
        (output / "report.html").write_text("of an earlier run")
        subprocess.run([str(SENSOR), "run", "--quiet", "--report", "terminal", "--output", str(output),
                        "--", "/bin/true"], check=True, timeout=60)
        left = sorted(path.name for path in output.iterdir())
        assert left == ["detections.jsonl", "events.jsonl"], f"of an earlier run: {left}"


DEEP = """
import os
for level in range(400):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
for name in range(300):
    os.close(os.open(f"/dev/shm/cicd-owned-{os.getpid()}-{name}", os.O_WRONLY | os.O_CREAT))
    os.unlink(f"/dev/shm/cicd-owned-{os.getpid()}-{name}")
os.execv("/bin/ls", ["ls", "/"])
"""


def test_a_deep_chain_does_not_flood_the_page():
    with Run(["/usr/bin/python3", "-c", DEEP], flags=["--rules", str(RULES_FILE)]) as run:
        page = opened(run.events_path.parent / "report.html")
        is_quiet(page)
        assert page.evaluate("document.getElementById('tree').querySelector('.count').textContent") == "401"
        elements = page.evaluate("document.querySelectorAll('#app *').length")
        assert elements < 5000, f"{elements} elements"
        page.evaluate("document.querySelector('.touched .thing').click()")
        links = page.evaluate("document.querySelectorAll('.drawer .chain li').length")
        assert links == 25, f"{links} links of the chain"


try:
    run_tests(globals())
finally:
    RUN.close()
    PLACE.cleanup()
    if BROWSER:
        BROWSER.close()
