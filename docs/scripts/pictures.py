"""Draws the pictures of the documentation: a timeline and a report of the example scene, with the default model.

``python docs/scripts/pictures.py`` needs the extra ``plot``, selenium, and Chromium with its driver.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from pe_audio_cli.cli.app import app

IMAGES = Path(__file__).parents[1] / "images"
ROOT = Path(__file__).parents[2]
SCENE = "examples/recordings/scene.mp3"  # as the pictures name it
LABELS = "a rooster crowing,rain falling,a dog barking"
WIDTH = 1200  # pixels of a picture
HEIGHT = 820  # of the report's page
QUALITY = 85  # of WebP, which keeps a picture under 100 kB
PATIENCE = 30  # seconds
SWITCHES = ("headless=new", "no-sandbox", "hide-scrollbars", f"window-size={WIDTH},{HEIGHT}")  # root has no sandbox


def main() -> None:
    """Write both pictures."""
    os.chdir(ROOT)
    with TemporaryDirectory() as folder:
        plot, report = Path(folder, "timeline.png"), Path(folder, "report.html")
        pictures = ["--plot", str(plot), "--report", str(report), "--embed-audio"]
        app(["localize", SCENE, "-l", LABELS, *pictures], standalone_mode=False)
        store(plot)
        store(screenshot(report))


def screenshot(page: Path) -> Path:
    """A picture of a report in Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    picture = page.with_suffix(".png")
    with webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as chrome:
        chrome.get(page.as_uri())
        WebDriverWait(chrome, PATIENCE).until(lambda _: chrome.find_elements(By.CSS_SELECTOR, "#tracks canvas"))
        chrome.save_screenshot(str(picture))
    return picture


def store(picture: Path) -> None:
    """Scale a picture down and keep it under its own name, as WebP."""
    with Image.open(picture) as image:
        image = image.convert("RGB")
        image.thumbnail((WIDTH, image.height), Image.Resampling.LANCZOS)
        image.save(IMAGES / f"{picture.stem}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
