from parley import table


def test_columns_are_aligned_and_numbers_flush_right() -> None:
    rows = [("gpt-5", 7, 1.5), ("o4-mini", 1234, None)]
    assert list(table.lines(("model", "n", "ttft_ms"), rows)) == [
        "model       n  ttft_ms",
        "-------  ----  -------",
        "gpt-5       7      1.5",
        "o4-mini  1234     NULL",
    ]


def test_no_rows_leave_the_heading() -> None:
    assert list(table.lines(("model", "n"), [])) == ["model  n", "-----  -"]


def test_nothing_in_a_cell_steers_the_terminal() -> None:
    *_, line = table.lines(("model",), [("a\x1b[2J\nb",)])
    assert line == "a\\x1b[2J\\nb"
