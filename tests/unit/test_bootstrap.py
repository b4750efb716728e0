"""What an operator is told about a start that cannot be."""

import pytest

from sengol_api import bootstrap
from sengol_api.review.errors import DatabaseError
from sengol_api.settings import load


async def test_a_file_that_is_no_database_is_named_with_the_reason(tmp_path):
    (tmp_path / "sengol.sqlite3").write_bytes(b"\xff" * 4096)
    settings = load({"DATA_DIR": str(tmp_path)})
    with pytest.raises(DatabaseError) as caught:
        await bootstrap.prepare(settings)
    told = bootstrap.start_failure(settings, caught.value)
    assert f"{tmp_path}/sengol.sqlite3 cannot be used: file is not a database. " in told
    assert (await bootstrap.probe(settings))["database"][1].endswith("sengol.sqlite3: file is not a database")
