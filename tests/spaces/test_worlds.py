"""Reading worlds that may be masked, and may be anything."""

import pytest


@pytest.fixture(scope="module")
def worlds(demo):
    return demo("worlds")


class TestMaskSigma:
    @staticmethod
    def count(digits: str) -> int:
        return (len(digits) + 1) // 2

    def test_hides_the_integer_part(self, worlds, world):
        assert worlds.mask_sigma(world, "?", self.count) == world.replace("[10.05", "[?.05")

    def test_takes_a_mask_for_each_token(self, worlds, world):
        assert "[??.05," in worlds.mask_sigma(world.replace("10.05", "110.05"), "?", self.count)

    def test_takes_any_mask_and_spacing(self, worlds):
        assert (
            worlds.mask_sigma("{'sys0':{'params':[ 9.5]}}", "<mask>", self.count) == "{'sys0':{'params':[ <mask>.5]}}"
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [("", "no σ"), ("{'sys1': {'params': [1.0]}}", "no σ"), ("{'sys0': {'params': [?.05]}}", "masked already")],
    )
    def test_says_why_there_is_nothing_to_hide(self, worlds, text, message):
        with pytest.raises(ValueError, match=message):
            worlds.mask_sigma(text, "?", self.count)


class TestTrajectory:
    def test_masked_numbers_are_gaps_with_their_filling(self, worlds):
        text = "{'p': ?.5, 'data': [[-?.5, 2], [1.?5, ?], [3.0, ?e-05]]}"
        filled = "{'p': 1.5, 'data': [[-7.5, 2], [1.25, 9], [3.0, 4e-05]]}"
        drawn = worlds.read_trajectory(text, "?", filled)
        assert drawn.values == [[None, 2.0], [None, None], [3.0, None]]
        assert drawn.guesses == {(0, 0): -7.5, (1, 0): 1.25, (1, 1): 9.0, (2, 1): 4e-05}
        assert worlds.read_trajectory(text, "?").guesses == {}

    @pytest.mark.parametrize("data", ["[[[], [1.0]]", "[[1.0, 2.0], [1.0]]", "[[1.0, 2.0], [1.0, 2.0]]"])
    def test_gaps_stay_where_the_filling_is_no_number(self, worlds, data):
        drawn = worlds.read_trajectory("{'data': [[?], [1.0]]}", "?", f"{{'data': {data}}}")
        assert drawn.values == [[None], [1.0]]
        assert drawn.guesses == {}
        assert "gaps" in drawn.note

    def test_a_world_that_only_filling_makes_readable_is_drawn(self, worlds):
        drawn = worlds.read_trajectory("{? [[1.0, 2.0]]}", "?", "{'data': [[1.0, 2.0]]}")
        assert drawn.values == [[1.0, 2.0]]
        assert drawn.note

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{'data': [[1.0]", "not a readable Python dict"),
            ("[1]", "a Python list, not a dict"),
            ("{}", "no 'data'"),
            ("{'data': []}", "no 'data'"),
            ("{'data': [1.0]}", "Row 1 of 'data' is not a list"),
            ("{'data': [[]]}", "Row 1 of 'data' is not a list"),
            ("{'data': [[1.0], [1.0, 2.0]]}", "Row 2 of 'data' holds 2 numbers, the first row 1"),
            ("{'data': [['x']]}", "Row 1 of 'data' holds 'x'"),
            ("{'data': [[True]]}", "not a number"),
            ("{'data': [[1e999]]}", "too large"),
            (f"{{'data': [[{'9' * 4000}]]}}", "too large"),
            ("{'data': [[1.0]] * 9}", "not a readable Python dict"),
            ("{[]: 1}", "not a readable Python dict"),
            ("__import__('os').getcwd()", "not a readable Python dict"),
            ("[" * 50_000, "not a readable Python dict"),
            ("-" * 90_000 + "1", "not a readable Python dict"),
            (f"{{'data': {[[1]] * 5001}}}", "larger than 5,000 steps"),
            (" " * 100_001, "longer than 100,000 characters"),
        ],
    )
    def test_says_why_it_cant_be_drawn(self, worlds, text, message):
        with pytest.raises(ValueError, match=message):
            worlds.read_trajectory(text, "?")

    def test_a_long_row_of_digits_takes_no_time(self, worlds):
        with pytest.raises(ValueError):
            worlds.read_trajectory("1." * 45_000, "?")  # quadratic time would run into the test's limit


def test_the_built_in_world_is_a_world_under_300_tokens(demo, worlds):
    from hubkit.tokenizers import make_tokenizer

    text = demo("examples").BUILT_IN
    assert len(worlds.read_trajectory(text, "?").values) == 10
    assert len(make_tokenizer("lorenz")(text)["input_ids"]) < 300
