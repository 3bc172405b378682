import sys

import pytest

from libs.runtime.engines import check_clickhouse
from libs.runtime.errors import StartError
from libs.schemas.config import Analytics


def test_the_embedded_clickhouse_must_be_installed_where_no_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_clickhouse(Analytics())
    monkeypatch.setitem(sys.modules, "chdb", None)
    with pytest.raises(StartError, match=r"pip install 'parley\[local\]'"):
        check_clickhouse(Analytics())
    check_clickhouse(Analytics(clickhouse_url="http://there:8123"))
