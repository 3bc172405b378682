"""`parley up` with fake children: `python -m tests.support.fake_cluster EVENTS EDGE_MANNER`, for tests to signal."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local import up
from deploy.local.cluster import Cluster
from deploy.local.state_dir import StateDir
from libs.runtime.errors import StartError
from libs.schemas.config import Config
from tests.support.children import fake


def main(events: Path, edge_manner: str) -> None:
    """Run a bus, a converter and an edge that are scripts."""

    def lay_out(config: Config, environ: Mapping[str, str], state: StateDir) -> Cluster:
        names = ("nats-server", "converter")
        edge = fake("edge", events, edge_manner, grace_seconds=600.0)
        stages = (*((fake(name, events),) for name in names), (edge,))
        return Cluster(stages=stages, nats_url="nats://127.0.0.1:1", upstream="http://127.0.0.1:2/v1", simulated=True)

    try:
        sys.exit(up.run(os.environ, lay_out))
    except StartError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
