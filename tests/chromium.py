"""Debian's Chromium, driven by Playwright: pages as a reader sees them, with the network off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REQUIRED = "DELEVER_REQUIRE_BROWSER"
"""Set in continuous integration: without a browser its tests fail instead of being skipped."""

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


def missing() -> str:
    """What stands in the way of a browser; empty where nothing does."""
    if chromium() is None:
        return "no chromium on the PATH (Debian: apt-get install chromium)"
    try:
        import playwright  # noqa: F401
    except ModuleNotFoundError:
        return "no playwright (pip install -e '.[dev]')"
    return ""


def chromium() -> str | None:
    """Path of the browser."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def required() -> bool:
    return bool(os.environ.get(REQUIRED))


@contextmanager
def started() -> Iterator[Any]:
    """A browser of Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass(slots=True)
class Opened:
    """A page in the browser, and what it said and asked for since it was opened."""

    page: Any
    said: list[str] = field(default_factory=list)  # messages of the console, errors, dialogs
    asked: list[str] = field(default_factory=list)  # addresses


@contextmanager
def opened(
    browser: Any, path: Path, *, width: int = 1440, height: int = 900, **more: Any
) -> Iterator[Opened]:
    """Open a file without a network, until its figures are drawn; `more` are of the context."""
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **more)
    try:
        seen = Opened(context.new_page())
        seen.page.on("console", lambda message: seen.said.append(message.text))
        seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
        seen.page.on("dialog", lambda dialog: (seen.said.append("dialog"), dialog.dismiss()))
        seen.page.on("request", lambda request: seen.asked.append(request.url))
        seen.page.goto(path.resolve().as_uri())
        seen.page.wait_for_selector("html[data-figures=done]", state="attached")
        yield seen
    finally:
        context.close()
