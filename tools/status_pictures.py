"""Pictures of the status page for the README: ``make screenshot``. Takes five minutes; needs Debian's ``chromium``.

The real server with two workers, a model, a d-vecDB and a Valkey from the tests' support, and people who ask. After a while d-vecDB
is gone and the model begins to fail; the page is photographed in the middle of that.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests")]
import main_job
from playwright.sync_api import Browser

import faults
from support.assisted import helpful
from support.chromium import chromium
from support.dvecdb.fake import fake_dvecdb
from support.openai_faults import OpenAIFaults, openai_faults
from support.openai_taxonomy import FAULTS
from support.tcp_proxy import TcpProxy, tcp_proxy
from support.valkey import valkey_server

PICTURES = ROOT / "docs" / "pictures"
WELL, ILL = 255.0, 40.0
"""Seconds before the outage, and from its beginning to the picture."""
CLIENTS = 3


@dataclass
class Scene:
    """A service in use, and what can be done to it."""

    address: str
    dvecdb: TcpProxy
    openai: OpenAIFaults

    def begin_outage(self) -> None:
        """d-vecDB is gone, and one in three calls of the model fails."""
        self.dvecdb.refuse()
        self.openai.sometimes({FAULTS["server_error"]: 0.3})


@contextmanager
def scene() -> Iterator[Scene]:
    """A service in use."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        openai = stack.enter_context(openai_faults(seed=3))
        openai.reply = helpful
        proxy = stack.enter_context(tcp_proxy(stack.enter_context(fake_dvecdb()).port))
        settings = faults.settings(openai.base_url, proxy.port)
        settings |= {"REDIS_URL": stack.enter_context(valkey_server(folder)).url, "CIRCUIT_BREAKER_TIMEOUT": "30000"}
        stack.enter_context(main_job.with_environment(settings))
        address, _, _ = stack.enter_context(main_job.server(folder / "data", "--workers", "2"))
        over = threading.Event()
        people = [threading.Thread(target=_ask, args=(address, number, over)) for number in range(CLIENTS)]
        for each in people:
            each.start()
        try:
            yield Scene(address, proxy, openai)
        finally:
            over.set()
            for each in people:
                each.join()


def _ask(address: str, number: int, over: threading.Event) -> None:
    """Somebody who asks for reviews and searches, often for what was asked before."""
    chance = random.Random(number)
    reviewer = faults.Reviewer(address)
    while not over.wait(chance.expovariate(2.5)):
        with suppress(SystemExit, HTTPException, OSError):  # what is refused is what the picture is about
            if chance.random() < 0.35:
                reviewer.generate(chance.randrange(12) if chance.random() < 0.6 else chance.randrange(10_000))
            else:
                query = {"query": f"{chance.choice(main_job.SYSTEMS)[:200]} {chance.randrange(40)}"}
                reviewer.client.send("POST", "/api/incidents/search", query)


def photograph(browser: Browser, address: str, file: Path, scheme: str, size: tuple[int, int] = (1400, 900)) -> None:
    """The page as one sees it."""
    viewport = {"width": size[0], "height": size[1]}
    page = browser.new_page(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{address}/status")
    page.wait_for_selector("#line[data-state=live]")
    page.wait_for_timeout(500)
    page.screenshot(path=file)
    page.close()
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1024:.0f} KiB")


def main() -> None:
    """Make the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with scene() as there, chromium() as browser:
        time.sleep(WELL)
        there.begin_outage()
        time.sleep(ILL)
        for scheme in ("light", "dark"):
            photograph(browser, there.address, PICTURES / f"status-{scheme}.png", scheme)


if __name__ == "__main__":
    main()
