#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the report of a job with 200,000 events: size, time to make, time to open, search, and
the frames of a scroll from the top of the list of events to its end. For bench/RESULTS.md; needs
root (or a report: measure.py FILE).
"""
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from browser import Browser  # noqa: E402
from sensor import SENSOR, Run  # noqa: E402

MANY = """
import os, sys
for i in range(200000):
    try:
        os.open(f"{sys.argv[1]}/component{i // 50}/include/header{i}.h", os.O_RDONLY)
    except OSError:
        pass
"""

# Each frame scrolls 400 pixels, as a fast wheel does, some with a jump of the thumb.
SCROLL = """new Promise(done => {
  const list = document.querySelector('#events .scroller');
  list.scrollIntoView();
  const times = []; let last = performance.now(); let frames = 0;
  const step = now => {
    times.push(now - last); last = now;
    list.scrollTop += frames % 60 === 59 ? 500000 : 400;
    if (++frames < 600) requestAnimationFrame(step); else {
      times.shift(); times.sort((a, b) => a - b);
      const at = share => times[Math.floor(times.length * share)];
      done({frames: times.length, median: at(0.5), p95: at(0.95), p99: at(0.99), longest: times.at(-1),
            late: times.filter(time => time > 25).length});
    }
  };
  requestAnimationFrame(step);
})"""



def report_of_many(folder):
    with Run(["/usr/bin/python3", "-c", MANY, folder], name="many", flags=["--record", f"{folder}/rec"]):
        pass
    for reports in ("json", "json,html", "json", "json,html"):
        start = time.monotonic()
        subprocess.run([str(SENSOR), "replay", f"{folder}/rec", "--output", f"{folder}/out", "--quiet",
                        "--report", reports], check=True)
        print(f"replay with --report {reports}: {time.monotonic() - start:.2f} s")
    return pathlib.Path(folder) / "out" / "report.html"


def metrics_of(page):
    """Seconds of the page's main thread: they hold on a busy machine too, where frames are late."""
    values = {entry["name"]: entry["value"] for entry in page.call("Performance.getMetrics")["metrics"]}
    return {name: values[name + "Duration"] for name in ("Script", "Layout", "RecalcStyle", "Task")}


def measure(report):
    print(f"size: {report.stat().st_size / 1e6:.2f} MB")
    with Browser() as browser:
        start = time.monotonic()
        page = browser.open(report)
        print(f"opened in {time.monotonic() - start:.2f} s, of which until it can be used: "
              f"{page.evaluate('performance.now()') / 1e3:.2f} s")
        page.settle()
        page.type("#events input[type=search]", "header1999")
        print("found:", page.evaluate("document.querySelector('#events .bar + .bar .note').textContent"))
        page.type("#events input[type=search]", "")
        page.settle()
        page.call("Performance.enable")
        before = metrics_of(page)
        frames = page.evaluate(SCROLL)
        spent = {name: value - before[name] for name, value in metrics_of(page).items()}
        print("main thread, ms a frame:", {name: round(value / frames["frames"] * 1e3, 2)
                                           for name, value in spent.items()})
        print("frames, ms:", {name: round(value, 1) for name, value in frames.items()})


if len(sys.argv) > 1:
    measure(pathlib.Path(sys.argv[1]))
else:
    with tempfile.TemporaryDirectory(prefix="cicd-measure-") as place:
        measure(report_of_many(place))
