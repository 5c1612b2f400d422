"""A real browser without a window, through chromedriver and its WebDriver protocol; nothing but the standard library."""
import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request


class Browser:
    """with Browser(width, height) as b: b.open(path); b.run("return 1 + 1"); ..."""

    def __init__(self, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="adtool-browser.")
        self.session = None
        self.driver = subprocess.Popen(
            [shutil.which("chromedriver"), "--port=0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "HOME": self.profile})
        try:
            for line in self.driver.stdout:
                started = re.search(r"started successfully on port (\d+)", line)
                if started:
                    break
            else:
                raise RuntimeError("chromedriver ended without a word on its port")
            self.base = "http://127.0.0.1:" + started.group(1)
            args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir=" + self.profile + "/data",
                    f"--window-size={width},{height}"]
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": args, "binary": shutil.which("chromium")},
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
            self.session = "/session/" + made["sessionId"]
        except BaseException:
            self.close()
            raise

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as failed:
            raise RuntimeError(failed.read().decode(errors="replace")) from None

    def _do(self, path, body):
        return self._call("POST", self.session + path, body)

    def open(self, path):
        self._do("/url", {"url": "file://" + urllib.request.pathname2url(os.path.abspath(path))})

    def run(self, script, *args):
        return self._do("/execute/sync", {"script": script, "args": list(args)})

    def cdp(self, command, **params):
        return self._do("/goog/cdp/execute", {"cmd": command, "params": params})

    def media(self, scheme="light", medium=""):
        self.cdp("Emulation.setEmulatedMedia", media=medium,
                 features=[{"name": "prefers-color-scheme", "value": scheme}])

    def size(self, width, height):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def drag(self, x, y, to_x, to_y):
        """The pointer, pressed at one place of the window and let go at another."""
        self._do("/actions", {"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
                 "actions": [{"type": "pointerMove", "duration": 0, "x": int(x), "y": int(y)},
                             {"type": "pointerDown", "button": 0},
                             {"type": "pointerMove", "duration": 20, "x": int(to_x), "y": int(to_y)},
                             {"type": "pointerUp", "button": 0}]}]})

    def key(self, code):
        self._do("/actions", {"actions": [{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": code}, {"type": "keyUp", "value": code}]}]})

    def console(self):
        """What the page said or broke since the last call."""
        return self._do("/se/log", {"type": "browser"})

    def requests(self):
        """The addresses asked for since the last call."""
        events = [json.loads(e["message"])["message"] for e in self._do("/se/log", {"type": "performance"})]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def screenshot(self, path, whole=False):
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

    def pdf(self):
        return base64.b64decode(self.cdp("Page.printToPDF", printBackground=True)["data"])

    def close(self):
        try:
            if self.session:
                self._call("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
