"""Where a run folder may lie: what is taken, and what is refused with a way out."""

from pathlib import Path

import pytest

from bench.errors import LedgerError
from bench.storage.files import location


def test_a_path_stays_a_path() -> None:
    assert location("runs/demo") == Path("runs/demo")
    assert location("file:///shared/demo") == Path("/shared/demo")


def test_a_place_in_a_store_keeps_its_address() -> None:
    place = location("s3://bucket/runs/demo/")
    assert not isinstance(place, Path)
    assert str(place) == "s3://bucket/runs/demo"
    assert str(place / "study.json") == "s3://bucket/runs/demo/study.json"


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("s3://key:secret@bucket/run", "environment"),
        ("memory://run", "s3://"),
        ("https://example.org/run", "s3://"),
        ("nonsense://run", "use a path"),
        ("gs://bucket/run", r"pip install 'paretune\[gcs\]'"),
    ],
)
def test_what_cannot_hold_a_run_folder_is_refused_with_a_way_out(text: str, way_out: str) -> None:
    with pytest.raises(LedgerError, match=way_out) as refused:
        location(text)
    assert "secret" not in str(refused.value)
