import pytest

from services.analytics.read_only import refusal

FUNCTIONS = {"sum": True, "count": True, "arraymap": True, "file": False, "hostname": False}


def judged(*lines: str) -> str | None:
    return refusal("\n".join(lines), FUNCTIONS, "parley")


def test_a_plain_select_passes() -> None:
    assert (
        judged(
            "SelectWithUnionQuery (children 1)",
            " ExpressionList (children 1)",
            "  Function sum (alias total) (children 1)",
            "   Identifier input_tokens",
            "  TableExpression (children 1)",
            "   TableIdentifier parley.calls",
            "   TableIdentifier calls (alias c)",
        )
        is None
    )


@pytest.mark.parametrize("name", ["sum", "SUM", "sumIf", "sumOrNullIf", "countDistinct", "numbers", "exists"])
def test_functions_known_to_be_harmless_pass(name: str) -> None:
    assert judged(f"Function {name} (children 1)") is None


@pytest.mark.parametrize("name", ["file", "hostName", "fileIf", "url", "Python", "somethingNew", "If", ""])
def test_any_other_function_is_refused(name: str) -> None:
    assert judged(f"Function {name} (children 1)") is not None


def test_a_function_that_is_named_without_a_call_is_refused() -> None:
    assert judged("Function arrayMap (children 1)", " Identifier file") is not None


@pytest.mark.parametrize(
    "line",
    [
        "TableIdentifier system.users",
        "TableIdentifier other.calls",
        "Identifier system.users",
        "Identifier INFORMATION_SCHEMA.tables",
        "ColumnsApplyTransformer",
        "Set",
        "InsertQuery (children 1)",
        "something unheard of",
    ],
)
def test_what_is_not_known_to_be_harmless_is_refused(line: str) -> None:
    assert judged("SelectQuery (children 1)", line) is not None


def test_a_line_without_a_node_is_refused() -> None:
    assert judged("SelectQuery (children 1)", "", " Asterisk") is not None
