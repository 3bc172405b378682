"""The functions that the Python clients give the model, and a note of each call that was made."""

from typing import Any

CALLS: list[list[Any]] = []


def get_weather(city: str) -> str:
    """The weather of a city at this moment.

    Args:
        city: The name of the city.
    """
    CALLS.append(["get_weather", {"city": city}])
    return f"{city}: 21 degrees"


def get_population(city: str, year: int) -> str:
    """How many people lived in a city.

    Args:
        city: The name of the city.
        year: The year of the count.
    """
    CALLS.append(["get_population", {"city": city, "year": year}])
    return f"{city} in {year}: 2145906 people"


def taken() -> list[list[Any]]:
    """Return the calls since the last time, in order."""
    calls, CALLS[:] = list(CALLS), []
    return calls
