"""A visitor in front of the Space: types a world, presses buttons, reads the answer. On a desk and on a phone."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def context(browser) -> Iterator:
    """One context for all tests, so that the page's scripts are fetched once."""
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(15_000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def page(context, app) -> Iterator:
    """The Space, freshly opened; at the end, no request has left the machine and no error was reported."""
    page = context.new_page()
    troubles: list[str] = []
    page.on("request", lambda request: troubles.extend(_foreign(request.url)))
    page.on("response", lambda answer: troubles.extend([f"{answer.status} {answer.url}"] * (answer.status >= 400)))
    page.on("console", lambda line: troubles.extend([line.text] * (line.type in ("error", "warning"))))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    try:
        page.goto(app.url)
        page.wait_for_selector("#trajectory svg")
        yield page
    finally:
        page.close()
    assert troubles == []


def _foreign(url: str) -> list[str]:
    parts = urlsplit(url)
    return [] if parts.hostname == "127.0.0.1" or parts.scheme in ("data", "blob") else [f"request to {url}"]


def type_world(page, text: str) -> None:
    page.fill("#world textarea", text)


def fill(page) -> None:
    page.click("#fill")


def wait_for_answer(page) -> None:
    page.wait_for_selector("#chart svg")


def status(page, part: str) -> str:
    """Wait for the status line that has `part`, and return all of it."""
    line = page.locator("#status p", has_text=part)
    line.wait_for()
    return line.inner_text()


def test_a_typed_world_is_filled(page, world):
    type_world(page, world.replace("26.64", "?.64").replace("10.05", "9.05"))
    fill(page)
    assert status(page, "1 mask filled") == "1 mask filled; 136 tokens read."
    wait_for_answer(page)
    row = page.locator("#masks tbody tr").inner_text().split("\t")
    assert row[2] == "10"
    assert re.fullmatch(r"\d+\.\d %", row[3])
    assert page.locator("#chart svg text").all_inner_texts()
    assert page.locator("#table tbody tr").count() == 10
    assert page.locator("#table tbody tr").first.text_content().startswith("110")
    assert page.locator("#filled textarea").input_value() == world.replace("26.64", "10.64").replace("10.05", "9.05")
    assert page.locator("#trajectory svg").count() == 2


def test_an_example_shows_the_hidden_truth_beside_the_prediction(page):
    page.get_by_text("A wild world").click()
    page.wait_for_function("document.querySelector('#world textarea').value.includes('31.64')")
    fill(page)
    wait_for_answer(page)
    assert "12 ✗ missed" in page.locator("#masks").inner_text()
    assert "truth" in page.locator("#chart").inner_text()
    page.get_by_text("A mild world").click()
    page.wait_for_selector("#masks .waiting")
    assert page.locator("#chart svg").count() == 0
    fill(page)
    wait_for_answer(page)
    assert "10 ✓ right" in page.locator("#masks").inner_text()


def test_mask_sigma_hides_it_and_remembers_it(page, world):
    type_world(page, world.replace("10.05", "13.05"))
    page.click("#sigma")
    page.wait_for_function("document.querySelector('#world textarea').value.includes('[?.05')")
    page.click("#sigma")
    status(page, "σ of sys0 is masked already.")
    fill(page)
    wait_for_answer(page)
    assert "13 ✗ missed" in page.locator("#masks").inner_text()


def test_each_of_several_masks_can_be_looked_at(page, world):
    type_world(page, world.replace("10.05", "?.05").replace("0.95", "?.95").replace("0.57", "0.?"))
    fill(page)
    wait_for_answer(page)
    assert page.locator("#masks tbody tr").count() == 3
    before = page.locator("#chart .figure").get_attribute("aria-label")
    page.click("#chosen input")
    page.locator("[role=option]", has_text="Mask 3").click()
    page.wait_for_function("b => document.querySelector('#chart .figure').ariaLabel !== b", arg=before)
    assert page.locator("#trajectory .figure").first.get_attribute("aria-label").endswith("2 filled")


def test_the_filled_world_can_be_copied(page, world):
    type_world(page, world.replace("10.05", "?.05"))
    fill(page)
    wait_for_answer(page)
    page.locator("#filled button").click()
    page.wait_for_timeout(200)
    assert page.evaluate("navigator.clipboard.readText()") == world


def test_clear_empties_everything(page):
    fill(page)
    wait_for_answer(page)
    page.click("#clear")
    page.wait_for_selector("#masks .waiting")
    assert page.locator("#world textarea").input_value() == ""
    for part in ("#chart", "#table", "#status", "#trajectory"):
        assert page.locator(part).inner_text().strip() == ""
    assert page.locator("#filled").count() == 0


def test_what_cant_be_filled_gets_its_message(page, world):
    for text, message in (
        ("", "There is nothing to fill"),
        (world, "There is no mask in the text"),
        ("? " * 17, "The text has 17 masks; at most 16"),
        ("? " + "1 " * 400, "401 tokens long; this model reads at most 380"),
        ("[?, 1é]", "Character 6, “é” (latin small letter e with acute), is foreign"),
        ("<img src=x onerror=alert(1)>?", "Character 1, “<” (less-than sign), is foreign"),
    ):
        type_world(page, text)
        fill(page)
        status(page, message)
        assert page.locator("#chart svg").count() == 0
    type_world(page, "[1, 2]")
    page.click("#sigma")
    status(page, "There is no σ to mask")
    assert page.locator(".toast-body").count() == 0


def test_text_that_is_no_world_is_filled_and_not_drawn(page):
    type_world(page, "{'params': [?.05, 2.7")
    fill(page)
    wait_for_answer(page)
    assert page.locator("#filled textarea").input_value() == "{'params': [10.05, 2.7"
    assert "It can’t be drawn. The text is not a readable Python dict" in page.locator("#trajectory").inner_text()


def test_the_foot_names_model_and_data_at_their_commits(page):
    links = page.locator("#foot a")
    repos = ["lab/lorenz-tiny-roberta", "lab/rewriting-tiny-minigpt", "lab/lorenz-tiny"]
    assert links.all_inner_texts() == [f"{repo}@0123456" for repo in repos]
    assert "/datasets/lab/lorenz-tiny/tree/0123456789abcdef" in links.last.get_attribute("href")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_is_cut_off(page, size, tmp_path):
    page.set_viewport_size(size)
    fill(page)
    wait_for_answer(page)
    page.screenshot(path=tmp_path / "space.png", full_page=True)
    assert (tmp_path / "space.png").stat().st_size > 20_000
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for part in ("#world textarea", "#fill", "#masks table", "#chart svg", "#trajectory svg >> nth=0", "#foot"):
        box = page.locator(part).bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= size["width"]


def test_figures_take_the_colour_of_the_page(page):
    colors = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.reload()
        label = page.locator("#trajectory svg text").first
        label.wait_for()
        colors.append(label.evaluate("e => getComputedStyle(e).fill"))
        assert colors[-1] == page.locator("h1").evaluate("e => getComputedStyle(e).color")
    assert colors[0] != colors[1]
