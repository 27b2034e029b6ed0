"""What the console costs, in a real browser over a store with a thousand pipelines and 100,000 jobs.

    python benchmarks/console.py FOLDER [QUESTION…]

FOLDER is what ``benchmarks/console_data.py`` makes. Counts are exact. Times are those of Chromium without a GPU on this
machine, and stand beside a baseline of the same run: the time until an almost empty page of the same server is shown.
Questions: size, jobs, pixel, list, timeline, logs, tabs, session (all but the last when none is named).
``benchmarks/console_graph.py`` measures the graph.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import chromium
import psutil
from common import TRUNKLINE, median, table
from playwright.sync_api import sync_playwright

from trunkline.client.channel import Channel
from trunkline.rpc.gen import pfs_pb2, transaction_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

ROUNDS = 5
#: Milliseconds that something on a page may take at most before the benchmark gives up.
PATIENCE = 60_000
STATIC = Path(__file__).parents[1] / "src" / "trunkline" / "console"
REPOS = "/ui/p/default/repos"

#: Resolves two frames after a selector matches: when it is on the screen. Returns milliseconds since navigation.
PAINTED = """(selector) => new Promise((resolve) => {
  const look = () => document.querySelector(selector)
    ? requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now())))
    : requestAnimationFrame(look);
  look();
})"""
#: Writes down when a text that begins with ``pixel-`` is on the screen, by the clock that the program has too.
PIXELS = """() => {
  window.seen = {};
  const look = () => {
    for (const [name] of document.querySelector("main").innerText.matchAll(/pixel-\\d+/g))
      if (!(name in window.seen)) { window.seen[name] = 0; requestAnimationFrame(() => window.seen[name] = Date.now()); }
  };
  new MutationObserver(look).observe(document.body, {childList: true, subtree: true, characterData: true});
}"""
#: Begins to wait, in ``window.after``, for a text that comes to a list after a key is pressed: milliseconds until then.
AFTER_KEY = """(text) => { window.after = new Promise((resolve) => addEventListener("keydown", () => {
  const begun = performance.now();
  const look = () => [...document.querySelectorAll("main [role=gridcell]")].some((cell) => cell.innerText.includes(text))
    ? requestAnimationFrame(() => resolve(performance.now() - begun))
    : requestAnimationFrame(look);
  look();
}, {once: true, capture: true})); }"""
#: Presses a tab and returns the milliseconds until a canvas has a picture.
DRAWN = """async () => {
  const begun = performance.now();
  [...document.querySelectorAll("main [role=tab]")].find((tab) => tab.innerText.includes("Timeline")).click();
  for (;;) {
    await new Promise(requestAnimationFrame);
    const canvas = document.querySelector("main .timeline canvas");
    if (!canvas || canvas.width <= 300) continue;
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    if (pixels.some((value, at) => at % 4 === 2 && value > 200)) return performance.now() - begun;
  }
}"""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Serve a copy of the data; yield the origin and the process."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "data"
        shutil.copytree(folder, copy)
        command = [TRUNKLINE, "serve", "--data", str(copy), "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["grpc"]
            yield f"http://{address}", psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


class Console:
    """The served console and the browser that shows it."""

    def __init__(self, browser: Browser, origin: str, process: psutil.Process) -> None:
        self.browser, self.origin, self.process = browser, origin, process
        self.channel = Channel(origin.removeprefix("http://"))
        request = {"pipelines": ["large"], "number": 1}
        self.large = self.call("ListJobRow", request)["rows"][0]["jobId"]
        self.baseline = median([self.painted("/openapi/ui/", "rapi-doc") for _ in range(ROUNDS)])

    def call(self, method: str, message: dict[str, object]) -> dict:
        url = f"{self.origin}/api/trunkline.console.v1.Console/{method}"
        request = urllib.request.Request(
            url, json.dumps(message).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def create_repo(self, name: str) -> None:
        request = pfs_pb2.CreateRepoRequest(repo=repo_named(name))
        self.channel.unary("/pfs_v2.API/CreateRepo", request.SerializeToString(), 10)

    def transact(self, requests: list[transaction_pb2.TransactionRequest]) -> None:
        message = transaction_pb2.BatchTransactionRequest(requests=requests)
        self.channel.unary("/transaction_v2.API/BatchTransaction", message.SerializeToString(), 30)

    @contextlib.contextmanager
    def context(self) -> Iterator[BrowserContext]:
        context = self.browser.new_context(
            base_url=self.origin, locale="en-US", timezone_id="UTC", viewport={"width": 1280, "height": 800}
        )
        context.set_default_timeout(PATIENCE)
        try:
            yield context
        finally:
            context.close()

    @contextlib.contextmanager
    def page(self) -> Iterator[Page]:
        with self.context() as context:
            yield context.new_page()

    def painted(self, address: str, selector: str, slower: int = 1) -> float:
        """Return the milliseconds from navigation until a selector is on the screen of a new browser context."""
        with self.page() as page:
            if slower > 1:
                session = page.context.new_cdp_session(page)
                session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
            page.goto(address, wait_until="commit")
            return page.evaluate(PAINTED, selector)


def size(console: Console) -> list[list[str]]:
    """Bytes and requests of the first load of the home page."""
    with console.page() as page:
        kinds: dict[str, int] = {}
        requests = []
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        names: dict[str, str] = {}
        session.on(
            "Network.responseReceived", lambda event: names.__setitem__(event["requestId"], event["type"])
        )

        def finished(event: dict) -> None:
            kind = names.get(event["requestId"], "")
            kinds[kind] = kinds.get(kind, 0) + event["encodedDataLength"]

        session.on("Network.loadingFinished", finished)
        page.on("request", lambda request: requests.append(request.url))
        page.goto("/ui/")
        page.wait_for_selector("main h2")
        page.wait_for_timeout(1_000)
    stored = sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file())
    return [
        ["script at first load", f"{kinds.get('Script', 0) / 1000:.0f} kB", "≤ 150 kB"],
        ["CSS at first load", f"{kinds.get('Stylesheet', 0) / 1000:.0f} kB", "≤ 25 kB"],
        ["requests at first load", str(len(requests)), "≤ 12"],
        ["built files", f"{stored / 1e6:.2f} MB", "≤ 3 MB"],
    ]


def jobs(console: Console) -> list[list[str]]:
    """Until the first row of 100,000 jobs is on the screen."""
    row = "[role=grid] [role=row] a"
    plain = median([console.painted("/ui/jobs", row) for _ in range(ROUNDS)])
    slow = median([console.painted("/ui/jobs", row, slower=4) for _ in range(ROUNDS)])
    return [
        ["100,000 jobs usable", times(plain, console), "≤ 1.0 s"],
        ["the same, processor ÷ 4", times(slow, console), "≤ 2.5 s"],
    ]


def pixel(console: Console) -> list[list[str]]:
    """From before the call that makes a repo until its name is on the screen, in the tab that is in front.

    The others draw too: without a window, Chromium calls no tab hidden, but gives those behind one frame a second.
    """
    rows = []
    for tabs in (1, 50):
        first = f"pixel-{tabs:02d}"
        console.create_repo(first)
        with console.context() as context:
            pages = [context.new_page() for _ in range(tabs)]
            for page in pages:
                page.goto(f"{REPOS}?q={first}")
                page.get_by_text(first, exact=True).wait_for()
                page.get_by_text("Live", exact=True).wait_for()
                page.evaluate(PIXELS)
            front = pages[0]
            front.bring_to_front()
            front.locator("h1").click()  # its reader uses it
            delays = []
            for number in range(40):
                name = f"{first}{999 - number}"  # the newest is the first of the list
                begun = time.time() * 1000
                console.create_repo(name)
                front.wait_for_function("(name) => window.seen[name] > 0", arg=name)
                delays.append(front.evaluate("(name) => window.seen[name]", name) - begun)
                front.wait_for_timeout(120)
        delays.sort()
        worst = delays[int(len(delays) * 0.95)]
        what = f"event to pixel, p95, {tabs} tab{'s' if tabs > 1 else ''}"
        rows.append([what, f"{worst:.0f} ms (median {median(delays):.0f})", "≤ 200 ms"])
    return rows


def list_(console: Console) -> list[list[str]]:
    """Jump to the end of a folder of a million files by its key."""
    delays = []
    for _ in range(ROUNDS):
        with console.page() as page:
            page.goto("/ui/p/default/repos/wide/tree/master/all/")
            page.get_by_text("1,000,000 entries").wait_for()
            page.locator("main [role=row][data-row='0']").focus()
            page.evaluate(AFTER_KEY, "0999999.txt")
            page.keyboard.press("End")
            delays.append(page.evaluate("() => window.after"))
    return [["folder of 1 M files, jump to the end", times(median(delays), console), "≤ 300 ms"]]


def timeline(console: Console) -> list[list[str]]:
    """From the press of its tab until the timeline of a job with a million datums is drawn."""
    delays = []
    for _ in range(ROUNDS):
        with console.page() as page:
            page.goto(f"/ui/p/default/jobs/large/{console.large}")
            page.get_by_role("tab", name="Timeline").wait_for()
            delays.append(page.evaluate(DRAWN))
    return [["timeline of 1 M datums, first picture", times(median(delays), console), "≤ 500 ms"]]


def logs(console: Console) -> list[list[str]]:
    """Search of a log of 100 MB: the server's stream, as the page reads it."""
    url = f"{console.origin}/api/trunkline.console.v1.Console/SearchLog"
    body = {
        "log": {"project": "default", "pipeline": "large", "jobId": console.large},
        "text": "312 of 1,000",
    }
    firsts, alls = [], []
    for _ in range(3):
        request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
        begun = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            answer.readline()
            firsts.append(1000 * (time.perf_counter() - begun))
            while answer.readline():
                pass
        alls.append(time.perf_counter() - begun)
    return [
        ["search in a log of 100 MB, first hit", f"{median(firsts):.0f} ms", "≤ 300 ms"],
        ["search in a log of 100 MB, all", f"{median(alls):.1f} s", "≤ 2 s"],
    ]


def tabs(console: Console) -> list[list[str]]:
    """Processor time of the server with 50 listening browsers and without them, in turns of three seconds."""
    more: dict[int, list[float]] = {0: [], 10: []}
    for turn in range(5):
        for rate, differences in more.items():

            def act(number: int, rate: int = rate, turn: int = turn) -> None:
                if rate:
                    console.create_repo(f"tabs-{turn}-{number}")

            with listening(console, 50):
                watched = measured(console, act, rate or 1, 3)
            alone = measured(console, lambda number: act(100 + number), rate or 1, 3)
            differences.append(watched - alone)
    return [
        ["50 live tabs, nothing changes: server, more than without", f"{median(more[0]):.1f} % of a core", "≤ 5 %"],
        ["50 live tabs, 10 changes a second: the same", f"{median(more[10]):.1f} % of a core", "≤ 5 %"],
    ]  # fmt: skip


@contextlib.contextmanager
def listening(console: Console, number: int) -> Iterator[None]:
    """Listen to the events of repos by so many connections."""
    host, port = console.origin.removeprefix("http://").split(":")
    request = f"GET /events?kind=repo HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    sockets = [socket.create_connection((host, int(port))) for _ in range(number)]
    for each in sockets:
        each.sendall(request)
        each.recv(65_536)
        threading.Thread(target=drain, args=(each,), daemon=True).start()
    try:
        yield
    finally:
        for each in sockets:
            each.shutdown(socket.SHUT_RDWR)


def drain(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass


def measured(console: Console, act: Callable[[int], None], rate: int, seconds: int) -> float:
    """Return the server's share of a core while ``act`` is called."""
    before, begun = sum(console.process.cpu_times()[:2]), time.monotonic()
    for number in range(rate * seconds):
        act(number)
        time.sleep(max(0.0, begun + (number + 1) / rate - time.monotonic()))
    return 100 * (sum(console.process.cpu_times()[:2]) - before) / (time.monotonic() - begun)


def session(console: Console, minutes: int = 60) -> list[list[str]]:
    """Show five pages while a hundred events a second arrive; heap and requests of each.

    Twenty events come with each of five transactions a second: of commits, and of repos that come and go. Every two
    seconds a commit makes a pipeline run a job, whose events come on top.
    """
    with console.context() as context:
        pages = {}
        for name, address in SESSION_PAGES.items():
            pages[name] = page = context.new_page()
            page.goto(address)
            page.get_by_text("Live", exact=True).wait_for()
        console.transact([created(f"steady-{number}") for number in range(STEADY)])
        time.sleep(5)  # until what the pages read first is there
        requests: list[str] = []
        devtools = {}
        for name, page in pages.items():
            page.on("request", lambda request, name=name: requests.append(f"{name}: {request.url}"))
            devtools[name] = context.new_cdp_session(page)
        heaps: dict[str, list[float]] = {name: [] for name in pages}
        with Sender(console) as sender:
            for minute in range(minutes):
                sender.until(60 * (minute + 1), pages["repos"])
                for name, each in devtools.items():
                    each.send("HeapProfiler.collectGarbage")
                    heaps[name].append(each.send("Runtime.getHeapUsage")["usedSize"] / 1e6)
                grown = ", ".join(f"{name} {values[-1]:.1f}" for name, values in heaps.items())
                counted = f"{sender.events} events, {len(requests)} requests"
                print(f"minute {minute + 1}: {counted}, heaps in MB: {grown}", file=sys.stderr, flush=True)
        lines = [page.evaluate("() => document.querySelectorAll('*').length") for page in pages.values()]
    for request in sorted(set(requests)):
        print(f"request: {request}", file=sys.stderr)
    rows = []
    for name, values in heaps.items():
        ratio = values[-1] / values[min(4, len(values) - 1)]
        what = f"{minutes} min of 100 events/s, {name}: heap against minute 5"
        rows.append([what, f"{ratio:.2f}x ({values[-1]:.1f} MB)", "≤ 1.2x"])
    return [
        *rows,
        ["events a second", f"{sender.events / minutes / 60:.0f}", "100"],
        ["requests but the stream", str(len(requests)), "0"],
        ["the most elements of a page", str(max(lines)), "≤ 3,000"],
    ]


#: What is open while events come, by name.
SESSION_PAGES = {
    "home": "/ui/",
    "repos": REPOS,
    "jobs": "/ui/jobs",
    "pipelines": "/ui/p/default/pipelines",
    "graph": "/ui/p/default",
}
#: Repos that get commits.
STEADY = 100


class Sender(threading.Thread):
    """Makes a hundred events a second, until its context ends."""

    def __init__(self, console: Console) -> None:
        super().__init__(daemon=True)
        self.console, self.events, self.ending = console, 0, threading.Event()
        self.begun = time.monotonic()

    def __enter__(self) -> Sender:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.join()

    def run(self) -> None:
        number = 0
        while not self.ending.wait(max(0.0, self.begun + number / 5 - time.monotonic())):
            steady = [f"steady-{(number * 10 + each) % STEADY}" for each in range(10)]
            requests = [request for repo in steady for request in committed(repo)]
            requests += [created(f"passing-{number}-{each}") for each in range(5)]
            if number > 0:
                requests += [deleted(f"passing-{number - 1}-{each}") for each in range(5)]
            self.console.transact(requests)
            self.events += 20
            if number % 10 == 0:
                self.console.transact(committed("images"))
            number += 1

    def until(self, seconds: float, page: Page) -> None:
        """Wait, while the browser's own events are taken."""
        while time.monotonic() < self.begun + seconds:
            if not self.is_alive():
                raise RuntimeError("no more events could be made")
            page.wait_for_timeout(500)


def repo_named(name: str) -> pfs_pb2.Repo:
    return pfs_pb2.Repo(name=name, type="user", project=pfs_pb2.Project(name="default"))


def created(name: str) -> transaction_pb2.TransactionRequest:
    return transaction_pb2.TransactionRequest(create_repo=pfs_pb2.CreateRepoRequest(repo=repo_named(name)))


def deleted(name: str) -> transaction_pb2.TransactionRequest:
    return transaction_pb2.TransactionRequest(delete_repo=pfs_pb2.DeleteRepoRequest(repo=repo_named(name)))


def committed(name: str) -> list[transaction_pb2.TransactionRequest]:
    """Return what starts and finishes a commit: one event when both are in a transaction."""
    branch = pfs_pb2.Branch(repo=repo_named(name), name="master")
    commit = pfs_pb2.Commit(repo=repo_named(name), branch=branch)
    return [
        transaction_pb2.TransactionRequest(start_commit=pfs_pb2.StartCommitRequest(branch=branch)),
        transaction_pb2.TransactionRequest(finish_commit=pfs_pb2.FinishCommitRequest(commit=commit)),
    ]


def times(milliseconds: float, console: Console) -> str:
    return f"{milliseconds:.0f} ms ({milliseconds / console.baseline:.1f}x baseline)"


QUESTIONS = {
    "size": size, "jobs": jobs, "pixel": pixel, "list": list_, "timeline": timeline, "logs": logs,
    "tabs": tabs, "session": session,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("questions", nargs="*", choices=[[], *QUESTIONS])
    parser.add_argument("--minutes", type=int, default=60, help="of the session")
    arguments = parser.parse_args()
    with serving(arguments.folder) as (origin, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.PROGRAM, args=list(chromium.OPTIONS))
        console = Console(browser, origin, process)
        rows = [["baseline: an almost empty page of the same server", f"{console.baseline:.0f} ms", ""]]
        for name in arguments.questions or [name for name in QUESTIONS if name != "session"]:
            try:
                rows += session(console, arguments.minutes) if name == "session" else QUESTIONS[name](console)
            except Exception as error:  # noqa: BLE001 - the other questions are still answered
                print(f"{name}: {error}", file=sys.stderr)
                rows.append([name, "not measured", ""])
        browser.close()
    table("The console", ["what", "measured", "to reach"], rows)


if __name__ == "__main__":
    main()
