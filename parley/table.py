"""Aligned tables for a terminal."""

from collections.abc import Iterator, Sequence

_NULL = "NULL"


def lines(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a table: a heading, a rule, then the rows; columns of numbers are flush right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = [_is_numeric([row[index] for row in rows]) for index in range(len(columns))]
    yield _line(columns, widths, right)
    yield "  ".join("-" * width for width in widths)
    for row in cells:
        yield _line(row, widths, right)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if flush_right else cell.ljust(width)
        for cell, width, flush_right in zip(cells, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return _NULL
    # Clients choose some of what is shown; none of it may steer the terminal.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(value))


def _is_numeric(values: Sequence[object]) -> bool:
    return any(value is not None for value in values) and all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    )
