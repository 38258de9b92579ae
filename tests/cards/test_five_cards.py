"""Cards of five tools: every defect is found where it is, and nothing in the mended card."""

import pytest

from hubkit.cards.card import open_card
from hubkit.cards.checking import Report, check_card

from .folders import DATA, NAMES, furnish


def report(tool: str, tmp_path, card: str) -> Report:
    return check_card(open_card(str(furnish(tool, tmp_path / tool, card)), name=NAMES[tool]))


@pytest.mark.parametrize("tool", NAMES)
def test_each_known_defect_is_found_at_its_line(tool, tmp_path):
    found = "".join(f"{finding}\n" for finding in report(tool, tmp_path, "before").findings)
    shards = sum(path.stat().st_size for path in (tmp_path / tool).glob("data/train-*"))
    if tool == "push_to_hub":  # its pattern leaves the last shard out
        shards -= (tmp_path / tool / "data/train-00002-of-00003.parquet").stat().st_size
    expected = (DATA / tool / "findings.txt").read_text().replace("BYTES,", f"{shards:,}").replace("BYTES", str(shards))
    assert found == expected


@pytest.mark.parametrize("tool", NAMES)
def test_nothing_is_found_in_the_mended_card(tool, tmp_path):
    assert [str(finding) for finding in report(tool, tmp_path, "after").findings] == []


@pytest.mark.parametrize("tool", NAMES)
def test_lines_move_with_the_text_above_them(tool, tmp_path):
    folder = furnish(tool, tmp_path / tool, "before")
    before = check_card(open_card(str(folder), name=NAMES[tool])).findings
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace("---\n", "---\n# a comment\n\n", 1))
    after = check_card(open_card(str(folder), name=NAMES[tool])).findings
    moved = [(one.rule, one.flaw.line + 2 * (one.flaw.line > 1)) for one in before]
    assert [(one.rule, one.flaw.line) for one in after] == moved
