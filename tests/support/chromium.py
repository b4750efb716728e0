"""A real Chromium, driven by Playwright: Debian's, or whatever CHROMIUM names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from support.due import unavailable

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Where it is; None where there is none."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A started browser; skips where there is none, but fails where ``CI`` or ``REQUIRE_CHROMIUM`` is set."""
    path = executable()
    if path is None:
        unavailable("chromium", "no Chromium here: apt-get install chromium")
    # A container has little shared memory, and Chromium's sandbox refuses to run for root.
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
