"""A visitor at the tab Generate: a text grows out of a prompt, in reading order, and can be stopped."""

import pytest

pytestmark = pytest.mark.browser

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def context(browser):
    """One context for all tests, so that the page's scripts are fetched once."""
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(context, app):
    """The tab, freshly opened; at the end no error was reported."""
    page = context.new_page()
    troubles: list[str] = []
    page.on("response", lambda answer: troubles.extend([f"{answer.status} {answer.url}"] * (answer.status >= 400)))
    page.on("console", lambda said: troubles.extend([said.text] * (said.type in ("error", "warning"))))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(app.url)
    page.get_by_role("tab", name="Generate").click()
    page.locator("#prompt textarea").wait_for()
    yield page
    page.close()
    assert troubles == []


def generate(page, text=None, temperature=None, tokens=None):
    """Fill the form and press the button."""
    if text is not None:
        page.fill("#prompt textarea", text)
    for name, value in (("temperature", temperature), ("tokens", tokens)):
        if value is not None:
            page.fill(f"#{name} input[type=number]", str(value))
            page.press(f"#{name} input[type=number]", "Tab")
    page.click("#generate")


def wait_for_end(page) -> str:
    line = page.locator("#progress p", has_text=" s: ")
    line.wait_for()
    return line.inner_text()


def parts(page) -> list[tuple[str, str]]:
    """Return the parts of the grown text in reading order, as (class, text)."""
    spans = page.locator("#continuation .grown span")
    return spans.evaluate_all("spans => spans.map(span => [span.className, span.textContent])")


def test_an_example_is_continued_and_judged(page):
    generate(page, tokens=9)
    assert "token" in wait_for_end(page)
    (typed, prompt), (written, new) = parts(page)
    assert (typed, prompt, written) == ("typed", "{AAB,", "written")
    verdict = page.locator("#continuation .verdict").inner_text()
    assert verdict == f"Truth AAAAB {'✓ right' if new == 'AAAAB' else '✗ missed'}"
    page.locator("#prompts").get_by_text("{B,", exact=True).click()
    page.wait_for_selector("#continuation .waiting")
    assert page.locator("#prompt textarea").input_value() == "{B,"
    generate(page, "{AB,", tokens=3)
    wait_for_end(page)
    assert page.locator("#continuation .verdict").count() == 0, "the truth belongs to the example alone"


def test_backward_the_text_grows_to_the_left(page):
    page.locator("#direction").get_by_text("backward").click()
    generate(page, ",AAB}", temperature=0, tokens=6)
    wait_for_end(page)
    (written, new), (typed, prompt) = parts(page)
    assert (written, typed, prompt) == ("written", "typed", ",AAB}")
    assert new
    assert "shown in reading order" in page.locator(".introduction >> visible=true").inner_text()


def test_a_seed_gives_its_text_again(page):
    page.get_by_text("More settings").click()
    generate(page, "{AAB,", temperature=2, tokens=40)
    seed = wait_for_end(page).rpartition("Seed ")[2].rstrip(".")
    first = parts(page)
    for chosen in (str(int(seed) + 1), seed):  # another one between, so that what is compared is new
        page.fill("#seed input", chosen)
        page.press("#seed input", "Tab")
        page.click("#generate")
        page.locator("#progress p", has_text=f"Seed {chosen}.").wait_for()
    page.wait_for_function(
        "text => document.querySelector('#continuation .written').textContent === text", arg=first[1][1]
    )
    assert parts(page) == first


def test_it_streams_and_stops(page):
    generate(page, "{A", temperature=2, tokens=190)
    page.locator("#progress p").wait_for()  # it has begun: what has not can't be stopped
    page.click("#stop")
    page.locator("#progress p", has_text="Stopped.").wait_for()
    page.wait_for_timeout(300)
    assert page.locator("#progress p").inner_text() == "Stopped."
    generate(page, "{AAB,", temperature=0, tokens=2)
    assert wait_for_end(page).startswith("2 tokens") or "ended the text" in wait_for_end(page)


def test_clear_empties_the_tab(page):
    generate(page, tokens=2)
    wait_for_end(page)
    page.click("#clear-prompt")
    page.wait_for_selector("#continuation .waiting")
    assert page.locator("#prompt textarea").input_value() == ""
    assert page.locator("#progress").inner_text().strip() == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A" * 200, "Prompt: it takes 201 tokens, and this model reads 200; shorten it."),
        ("<img src=x>", "Prompt: character 1, '<', is one that the model's vocabulary can't spell; leave it out."),
    ],
)
def test_what_cant_be_continued_gets_its_message(page, text, message):
    generate(page, text)
    page.locator("#progress .error").wait_for()
    assert page.locator("#progress p").inner_text() == message


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_is_cut_off(page, size):
    page.set_viewport_size(size)
    generate(page, temperature=2, tokens=150)
    wait_for_end(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for part in ("#prompt textarea", "#generate", "#continuation .grown", "#tokens", "#temperature"):
        box = page.locator(part).bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= size["width"]
