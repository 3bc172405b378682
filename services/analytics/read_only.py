"""What a foreign query may do, judged from its syntax tree; pure. What is not known is refused.

ClickHouse's own `readonly` stops writes and most of the table functions that reach outside; it lets
pass what this stops: scalar `file()`, `INTO OUTFILE`, `KILL QUERY`, the host's Python objects.
"""

from collections.abc import Mapping

# Names that the server does not list among its functions: syntax, and tables made from arguments alone.
SYNTAX = frozenset({"exists", "grouping", "lambda"})
TABLE_FUNCTIONS = frozenset({"generate_series", "generateseries", "numbers", "values", "zeros"})

# Functions of these kinds, as ClickHouse classifies them, compute from their arguments alone.
CATEGORIES = (
    "Arithmetic",
    "Arrays",
    "Bit",
    "Bitmap",
    "Comparison",
    "Conditional",
    "Dates and Times",
    "Distance",
    "Encoding",
    "Hash",
    "IP Address",
    "JSON",
    "Logical",
    "Map",
    "Mathematical",
    "Null",
    "Random Number",
    "Rounding",
    "String",
    "String Replacement",
    "String Search",
    "String Splitting",
    "Time Window",
    "Tuple",
    "Type Conversion",
    "URL",
    "UUID",
)
# And these, whose kind holds others that do not.
OTHER_FUNCTIONS = (
    "bar",
    "bytesize",
    "currentdatabase",
    "finalizeaggregation",
    "formatreadabledecimalsize",
    "formatreadablequantity",
    "formatreadablesize",
    "formatreadabletimedelta",
    "identity",
    "ignore",
    "materialize",
    "rownumberinallblocks",
    "rownumberinblock",
    "totypename",
    "transform",
    "version",
)
# Suffixes that make a new aggregate function from another.
COMBINATORS = (
    "if",
    "array",
    "map",
    "state",
    "simplestate",
    "merge",
    "mergestate",
    "foreach",
    "distinct",
    "ordefault",
    "ornull",
    "resample",
    "argmin",
    "argmax",
)
NODES = frozenset(
    {
        "ArrayJoin",
        "Asterisk",
        "ColumnsExceptTransformer",
        "ColumnsListMatcher",
        "ColumnsRegexpMatcher",
        "ColumnsReplaceTransformer",
        "ColumnsReplaceTransformer::Replacement",
        "ColumnsTransformerList",
        "ExpressionList",
        "Function",
        "Identifier",
        "InterpolateElement",
        "Literal",
        "OrderByElement",
        "QualifiedAsterisk",
        "SampleRatio",
        "SelectIntersectExceptQuery",
        "SelectQuery",
        "SelectWithUnionQuery",
        "Subquery",
        "TableExpression",
        "TableIdentifier",
        "TableJoin",
        "TablesInSelectQuery",
        "TablesInSelectQueryElement",
        "WindowDefinition",
        "WindowListElement",
        "WithElement",
    }
)
SYSTEM = ("system.", "information_schema.")
_MAX_FUNCTION = 128  # characters; no function of ClickHouse has as many, with all that can be put to it


def refusal(tree: str, functions: Mapping[str, bool], database: str) -> str | None:
    """Return why the query of `tree` is refused, or None.

    `tree` is the text of EXPLAIN AST; `functions` maps every function of the server, in lower case, to
    whether it may be called.
    """
    for line in tree.splitlines():
        node, name = _parsed(line)
        lower = name.lower()
        if node not in NODES:
            return f"{node or 'this'} is not allowed in a query"
        if node == "Function" and not _callable(lower, functions):
            return f"the function {name} is not allowed in a query"
        if node == "TableIdentifier" and "." in name and name.rpartition(".")[0] != database:
            return f"the table {name} is not one of the records"
        # `arrayMap(file, ...)` names a function without calling it; `x IN system.users` names a table.
        if node == "Identifier" and (not functions.get(lower, True) or lower.startswith(SYSTEM)):
            return f"the name {name} is not allowed in a query"
    return None


def _parsed(line: str) -> tuple[str, str]:
    """What a line is about and its name, of `Node name (alias x) (children 2)`; all but the first may lack."""
    line = line.lstrip(" ")
    before, children, count = line.rpartition(" (children ")
    if children and count.endswith(")") and count[:-1].isdecimal():
        line = before
    before, alias, _ = line.partition(" (alias ")
    if alias and line.endswith(")"):
        line = before
    node, _, name = line.partition(" ")
    return node, name


def _callable(name: str, functions: Mapping[str, bool]) -> bool:
    """Whether a function may be called, as it is named or as a combination of another."""
    names = {name} if len(name) <= _MAX_FUNCTION else set()
    while names:
        if any(functions.get(one, one in SYNTAX or one in TABLE_FUNCTIONS) for one in names):
            return True
        names = {
            one.removesuffix(suffix)
            for one in names - functions.keys()
            for suffix in COMBINATORS
            if one.endswith(suffix) and len(one) > len(suffix)
        }
    return False
