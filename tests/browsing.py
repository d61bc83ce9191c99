"""A report in a browser, as its reader uses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 30.0  # seconds; the machine may be busy

LIST_ROWS = """
const listRows = () => [...document.querySelectorAll("#events tbody tr")].map(
  (row) => [...row.cells].slice(0, 4).map((cell) => cell.textContent));
"""
LIST_ROWS_AT_EVERY_THRESHOLD = f"""
{LIST_ROWS}
const slider = document.getElementById("threshold");
const found = {{}};
for (let place = Number(slider.min); place <= Number(slider.max); place++) {{
  slider.value = place;
  slider.dispatchEvent(new Event("input"));
  found[slider.ariaValueText] = listRows();
}}
return found;
"""


class Page:
    """A report, open in the browser."""

    def __init__(self, chrome: webdriver.Chrome) -> None:
        self.chrome = chrome

    def open(self, path: Path) -> None:
        self.chrome.get(path.as_uri())
        self.until(lambda: self.all("#tracks canvas") or self.find("#problem").is_displayed())

    def open_and_hear(self, path: Path) -> None:
        """Open it, and wait for its sound."""
        self.open(path)
        self.until(lambda: self.audio("readyState") >= 1)

    def find(self, selector: str) -> WebElement:
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: object) -> Any:
        return self.chrome.execute_script(script, *arguments)

    def keys(self, *keys: str) -> None:
        ActionChains(self.chrome).send_keys(*keys).perform()

    def slide(self, name: str, value: int) -> None:
        """Move a slider to a value."""
        script = "const it = document.getElementById(arguments[0]); it.value = arguments[1];"
        self.run(script + "it.dispatchEvent(new Event('input'))", name, value)

    def focus(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).focus()", selector)

    def click_at(self, canvas: WebElement, fraction: float) -> None:
        """Click a canvas at a fraction of its width."""
        from_the_middle = round((fraction - 0.5) * canvas.size["width"])
        ActionChains(self.chrome).move_to_element_with_offset(canvas, from_the_middle, 0).click().perform()

    def until(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.chrome, PATIENCE, 0.05).until(lambda _: condition())

    def audio(self, name: str) -> Any:
        return self.run(f"return document.getElementById('audio').{name}")

    @property
    def rows(self) -> list[list[str]]:
        """The rows of the list: label, start, end, probability."""
        return self.run(f"{LIST_ROWS} return listRows()")

    def rows_at_every_threshold(self) -> dict[str, list[list[str]]]:
        """Return the rows at each threshold of the slider, from the least to the greatest, which has the first."""
        return self.run(LIST_ROWS_AT_EVERY_THRESHOLD)

    def buttons(self, name: str) -> list[WebElement]:
        """The buttons of this name, one in each listed event."""
        return [button for button in self.all("#events td:last-child button") if button.text == name]

    def save_into(self, folder: Path) -> None:
        """Set the folder for files that the page saves."""
        self.chrome.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})

    def complaints(self) -> list[str]:
        """Return the browser's errors since the last call."""
        return [entry["message"] for entry in self.chrome.get_log("browser")]
