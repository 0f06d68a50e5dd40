"""Foreign text made harmless."""

from __future__ import annotations

import pytest

from reports.escape import csv_cell, fenced, headline, markdown, plain, without_folders


def test_markdown_signs_and_newlines_are_escaped() -> None:
    assert markdown("a|b <i> [x](y) `c` *d* _e_ #f\ng") == (
        r"a\|b \<i\> \[x\](y) \`c\` \*d\* \_e\_ \#f g"
    )


def test_a_backslash_cannot_undo_an_escape() -> None:
    assert markdown("\\|") == "\\\\\\|"


def test_markdown_is_not_escaped_twice() -> None:
    once = markdown("a_b")
    assert markdown(once) is once


def test_a_code_block_cannot_be_closed_by_its_content() -> None:
    block = fenced("echo\n```\n# out\x1b[2J")
    assert block.splitlines() == ["````sh", "echo", "```", "# out", "````"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_text_cells_that_a_spreadsheet_would_run_get_a_quote(start: str) -> None:
    assert csv_cell(f"{start}1+1") == f"'{start}1+1"


def test_carriage_returns_cannot_start_a_cell_or_a_row() -> None:
    assert csv_cell("\r=1") == "'\n=1"
    assert csv_cell("a\r=1") == "a\n=1"


@pytest.mark.parametrize("value", [-1, -0.5, None, True])
def test_numbers_stay_numbers_in_csv(value: object) -> None:
    assert csv_cell(value) is value


def test_escape_sequences_and_control_characters_do_not_reach_a_terminal() -> None:
    text = "a\x1b[31mred\x1b[0m\x1b]0;title\x07b\x00\x9bc\u202ed\x7f"
    assert plain(text) == "aredb c d"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/ann/data/q.jsonl", "~/data/q.jsonl"),
        ("read '/Users/ann': denied", "read '~': denied"),
        ("file:///home/ann/x", "~/x"),
        ("/root/.cache/x and /rooted", "~/.cache/x and /rooted"),
        ('File "/opt/app/lib/lora.py", line 3', 'File "…/lora.py", line 3'),
        (r"C:\work\ann\x.py failed", "…/x.py failed"),
        ("--data=/srv/data/q.csv", "--data=…/q.csv"),
        ("https://host.org/a/b tokens/s 1/2 and/or ./runs/demo", None),
    ],
)
def test_absolute_paths_lose_their_folders_and_other_slashes_stay(
    text: str, kept: str | None
) -> None:
    assert without_folders(text) == (text if kept is None else kept)


def test_the_headline_of_a_traceback_is_its_error() -> None:
    reason = 'Traceback (most recent call last):\n  File "/a/b/c.py", line 1\nValueError: no\n\n'
    assert headline(reason) == "ValueError: no"
    assert headline("") == ""
    assert len(headline("x" * 999)) == 300
