"""Runs the edge: `python -m services.edge`."""

import os
import sys

import uvloop

from libs.runtime import service
from libs.runtime.errors import StartError
from services.edge.serve import serve

if __name__ == "__main__":
    config = service.load("edge", os.environ)
    try:
        status = uvloop.run(serve(config, os.environ))
    except StartError as error:
        raise SystemExit(f"parley edge: {error}") from None
    sys.exit(status)
