"""A browser to open pages in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from browsing import Page
from selenium import webdriver
from selenium.webdriver.chrome.service import Service


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("NO BROWSER, so the report is not tested in one: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in ("headless=new", "no-sandbox", "disable-gpu", "mute-audio", "window-size=1200,900"):
        options.add_argument(f"--{switch}")  # root has no sandbox
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, Service(driver)) as chrome:
        yield chrome


@pytest.fixture
def page(chromium: webdriver.Chrome) -> Iterator[Page]:
    page = Page(chromium)
    page.complaints()  # of the test before
    yield page
    chromium.get("about:blank")
