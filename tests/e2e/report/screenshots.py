#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of docs/report.md: the demo job, watched by the built sensor, and its report in
a real browser. Needs root, chromium, pdftoppm and pngquant: tests/e2e/report/screenshots.py
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from browser import Browser  # noqa: E402
from sensor import SENSOR, SOURCE  # noqa: E402

DEMO = SOURCE / "examples" / "demo-job"
WORKSPACE = pathlib.Path("/srv/demo")  # made and removed; its name is in the pictures
IMAGES = SOURCE / "docs" / "images"

WHY = """(() => { const step = [...document.querySelectorAll('.step')].find(s => s.textContent.includes('Registry token'));
  step.querySelector('.why-button').click(); document.querySelector('.branch').scrollIntoView(); })()"""
TREE = """(() => { document.querySelector('#tree input[type=checkbox]').click();
  document.getElementById('time').scrollIntoView(); })()"""
EVENT = """(() => { document.querySelector('#events input[type=checkbox]').click();
  document.getElementById('events').scrollIntoView();
  [...document.querySelectorAll('#events .row')].find(row => row.textContent.includes('POST')).click(); })()"""

# Name, what to do before, and how the page is opened.
PICTURES = [
    ("report", "0", {"width": 1280, "height": 960}),
    ("report-dark", "0", {"width": 1280, "height": 960, "dark": True}),
    ("report-why", WHY, {"width": 1280, "height": 860}),
    ("report-tree", TREE, {"width": 1280, "height": 720}),
    ("report-event", EVENT, {"width": 1280, "height": 760}),
    ("report-narrow", "0", {"width": 420, "height": 900}),
]


def watch_demo(folder):
    shutil.copytree(DEMO, WORKSPACE / "examples" / "demo-job")
    with subprocess.Popen(["/usr/bin/python3", DEMO / "server.py"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline())
        subprocess.run([str(SENSOR), "run", "--quiet", "--name", "demo", "--output", folder, "--",
                        "examples/demo-job/run.sh"], check=True, cwd=WORKSPACE, stdout=subprocess.DEVNULL,
                       env={**os.environ, "DEMO_SERVER": f"http://127.0.0.1:{port}", "TMPDIR": "/tmp"})
        server.stdin.close()
    shutil.rmtree(WORKSPACE)


def shrink(path):
    subprocess.run(["pngquant", "--force", "--skip-if-larger", "--speed", "1", "--output", path, "64", path],
                   check=False)
    print(f"{path.relative_to(SOURCE)}: {path.stat().st_size // 1024} KiB")


with tempfile.TemporaryDirectory(prefix="cicd-pictures-") as place, Browser() as browser:
    watch_demo(place)
    IMAGES.mkdir(exist_ok=True)
    report = pathlib.Path(place) / "report.html"
    for name, action, options in PICTURES:
        page = browser.open(report, **options)
        page.settle()
        page.evaluate(action)
        page.settle()
        page.screenshot(IMAGES / f"{name}.png")
        page.close()
        shrink(IMAGES / f"{name}.png")
    page = browser.open(report, width=1000, height=1000)
    page.settle()
    page.pdf(f"{place}/report.pdf")
    subprocess.run(["pdftoppm", "-r", "80", "-l", "1", "-png", "-singlefile", f"{place}/report.pdf",
                    IMAGES / "report-print"], check=True)
    shrink(IMAGES / "report-print.png")
