# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium for tests of pages, driven over its DevTools pipe.

    with Browser() as browser:
        page = browser.open(path, width=1280, height=800, dark=False)
        page.evaluate("document.title")
        assert not page.complaints and not page.requests

`complaints` are messages of the console, uncaught errors and violations of the page's policy;
`requests` are addresses that the page asked for besides its own file. Needs Debian's `chromium`.
"""
import base64
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--hide-scrollbars", "--force-color-profile=srgb", "--disable-dev-shm-usage",
         "--remote-debugging-pipe")


def chromium():
    """Path of the browser, or None."""
    return shutil.which("chromium")


class Browser:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cicd-browser-"))
        commands_out, commands_in = os.pipe()
        answers_out, answers_in = os.pipe()
        for number in (commands_in, answers_out):
            os.set_inheritable(number, False)

        def place_pipes():
            # The browser reads commands from 3 and writes answers to 4; neither may be in the way.
            spare_in, spare_out = os.dup(commands_out), os.dup(answers_in)
            while spare_in in (3, 4):
                spare_in = os.dup(spare_in)
            while spare_out in (3, 4):
                spare_out = os.dup(spare_out)
            os.dup2(spare_in, 3)
            os.dup2(spare_out, 4)

        self.process = subprocess.Popen(
            [chromium(), *FLAGS, f"--user-data-dir={self.folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=place_pipes, start_new_session=True)
        os.close(commands_out)
        os.close(answers_in)
        self.commands, self.answers = commands_in, answers_out
        self.buffer = b""
        self.last_id = 0
        self.pages = {}

    def call(self, method, session=None, timeout_s=60, **parameters):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        end = time.monotonic() + timeout_s
        while True:
            answer = self.read(end, method)
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def read(self, end, what):
        """The next message; events of pages reach their page."""
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0, end - time.monotonic()))
            data = os.read(self.answers, 1 << 20) if ready else b""
            if not data:
                raise AssertionError(f"the browser does not answer: {what}")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(text)
        page = self.pages.get(message.get("sessionId"))
        if page and "method" in message:
            page.on_event(message["method"], message["params"])
        return message

    def open(self, path, **options):
        return Page(self, pathlib.Path(path).resolve(), **options)

    def close(self):
        for number in (self.commands, self.answers):
            os.close(number)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Page:
    def __init__(self, browser, path, width=1280, height=800, dark=False, scripts=True, scale=1):
        self.browser = browser
        self.url = path.as_uri()
        self.complaints = []
        self.requests = []
        self.is_loaded = False
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target,
                                    flatten=True)["sessionId"]
        self.target = target
        browser.pages[self.session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=False)
        theme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": theme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Page.navigate", url=self.url)
        end = time.monotonic() + 60
        while not self.is_loaded:
            browser.read(end, "load")

    def call(self, method, **parameters):
        return self.browser.call(method, session=self.session, **parameters)

    def on_event(self, method, parameters):
        if method == "Page.loadEventFired":
            self.is_loaded = True
        elif method == "Network.requestWillBeSent":
            if parameters["request"]["url"] != self.url:
                self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(parameters["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {parameters['message']}")

    def evaluate(self, expression):
        """The value of an expression (a promise is waited for), as JSON has it."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def type(self, selector, text):
        """Puts text into a field, and gives the page time to act on it."""
        self.evaluate(f"""(() => {{ const field = document.querySelector({json.dumps(selector)});
            field.focus(); field.value = {json.dumps(text)};
            field.dispatchEvent(new Event('input', {{bubbles: true}})); }})()""")
        self.settle()

    def settle(self):
        self.evaluate("new Promise(done => setTimeout(() => requestAnimationFrame(() => done(0)), 200))")

    def screenshot(self, path, whole=False):
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        pathlib.Path(path).write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path):
        answer = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        pathlib.Path(path).write_bytes(base64.b64decode(answer["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
