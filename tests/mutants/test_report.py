import re
from pathlib import Path

from tests.mutants.__main__ import CHANGED, LOCK, ROOT, TESTS, Reason, reasons, report


def test_the_report_counts_by_module_and_lists_what_survived_with_its_lines() -> None:
    found = {
        "libs.a.x_f__mutmut_1": "killed",
        "libs.a.x_f__mutmut_2": "survived",
        "libs.a.x_g__mutmut_1": "timeout",
        "libs.b.x_h__mutmut_1": "no test",
    }
    lines = report(found, {"libs.a.x_f__mutmut_2": ["-x = 1", "+x = 2"], "libs.b.x_h__mutmut_1": ["-y", "+None"]})
    assert [line.split() for line in lines.splitlines()] == [
        ["tried", "killed", "timeout", "survived", "no", "test"],
        ["libs.a", "3", "1", "1", "1", "0"],
        ["libs.b", "1", "0", "0", "0", "1"],
        ["4", "1", "1", "1", "1"],
        ["2", "of", "4", "survive:", "50.0", "%;", "for", "0", "of", "them", "accepted.toml", "says", "why"],
        [],
        ["libs.a.x_f__mutmut_2:", "survived"],
        ["-x", "=", "1"],
        ["+x", "=", "2"],
        [],
        ["libs.b.x_h__mutmut_1:", "no", "test"],
        ["-y"],
        ["+None"],
    ]


def test_a_survivor_is_listed_with_why_it_may_live() -> None:
    reason = Reason("libs.a", r'or "XXXX"', "stands for nothing")
    lines = {"libs.a.x_f__mutmut_2": ['-f(x or "")', '+f(x or "XXXX")'], "libs.b.x_f__mutmut_2": ['+f(x or "XXXX")']}
    told = report(dict.fromkeys(lines, "survived"), lines, [reason])
    assert "libs.a.x_f__mutmut_2: stands for nothing\n" in told
    assert "libs.b.x_f__mutmut_2: survived\n" in told
    assert "for 1 of them" in told


def test_every_reason_can_be_read() -> None:
    assert all(re.compile(reason.lines) and reason.where and reason.why for reason in reasons())


def test_a_run_in_which_nothing_was_changed_is_reported_too() -> None:
    assert "0 of 0 survive: 0.0 %" in report({}, {})


def test_what_is_changed_and_the_tests_of_it_exist() -> None:
    assert all((ROOT / Path(pattern).parent).is_dir() for pattern in CHANGED)
    assert all((ROOT / test).exists() for test in TESTS)


def test_the_lock_names_no_host() -> None:
    assert "://" not in LOCK.read_text()
