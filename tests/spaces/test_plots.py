"""The figures are well-formed, take the page's colour and say what they show."""

import re
import xml.etree.ElementTree as ET

import pytest


@pytest.fixture(scope="module")
def plots(demo):
    return demo("plots")


def check(html: str) -> str:
    """Parse a figure; return the text in it."""
    root = ET.fromstring(html)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"]
    svg = root[0]
    assert "viewBox" in svg.attrib
    assert "width" not in svg.attrib
    assert "currentColor" in html
    assert "#010203" not in html
    assert "<style" not in html
    assert not re.search(r'(href|src)="(?!#)', html)
    return " ".join("".join(root.itertext()).split())


def test_bars_name_tokens_and_percents(plots):
    text = check(plots.bars([("10", 0.824), ("<b>&$x$", 0.1), ("08", 0.0001)], truth="10"))
    for part in ("10", "82.4 %", "truth", "<b>&$x$", "<0.1 %", "probability in %"):
        assert part in text


def test_bars_mark_only_the_hidden_truth(plots):
    assert plots.TRUTH not in plots.bars([("10", 0.8), ("11", 0.2)], truth="12")
    assert plots.bars([("10", 0.8), ("11", 0.2)], truth="11").count(plots.TRUTH) >= 1


def test_steps_ring_what_was_filled(plots):
    values = [[0.0, 1.0], [None, 1.5], [2.0, None]]
    rings = len(re.findall("<use", plots.steps(values, {(1, 0): 1.0, (2, 1): 2.0})))
    assert rings == 2 + len(re.findall("<use", plots.steps(values, {})))
    text = check(plots.steps(values, {}))
    for part in ("dim 1", "dim 2", "step", "value"):
        assert part in text


@pytest.mark.parametrize("width", [2, 3, 7, 40])
def test_paths_are_drawn_in_any_dimension(plots, width):
    values = [[float(step * dim) for dim in range(width)] for step in range(5)]
    values[2][0] = None
    text = check(plots.orbit(values, {(2, 0): 3.0}))
    assert ("dim 3" in text) == (width == 3)
    assert "filled" in text
    assert "filled" not in check(plots.orbit(values, {}))
    check(plots.steps(values, {}))


@pytest.mark.parametrize("values", [[[1.0, 2.0, 3.0]], [[None, None, None]], [[1.0, 1.0, 1.0]] * 3])
def test_the_least_data_is_drawn(plots, values):
    check(plots.steps(values, {}))
    check(plots.orbit(values, {}))


def test_matplotlib_is_left_as_it_was(plots):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.bars([("1", 1.0)])
    assert dict(matplotlib.rcParams) == before
