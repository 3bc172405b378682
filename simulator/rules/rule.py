"""What one rule is: the words of a refusal, and where they are known from.

Sources name sections of docs/mapping.md, the official SDK (3.54) or a recorded exchange. `KNOWN` marks
wordings that neither holds: a test may rely on the refusal and its code, not on every word.
"""

from dataclasses import dataclass

from simulator.wire.errors import INVALID_REQUEST

SDK = "SDK types"
KNOWN = "general knowledge of the live API"


@dataclass(frozen=True)
class Rule:
    """`message`, `param` and `code` are templates; `says` tells in plain words what is refused."""

    says: str
    source: str
    message: str
    param: str | None = None
    code: str | None = None
    status: int = 400
    type: str = INVALID_REQUEST
