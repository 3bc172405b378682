"""The steps of a scripted stream besides its frames: silence, and the two ways a connection breaks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """Silence for so long."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """The connection ends here, with the body unfinished; `resets` sends a reset instead of an end."""

    resets: bool = False


Interruption = Pause | Cut
Step = bytes | Pause | Cut
