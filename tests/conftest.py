"""One thread of arithmetic in every test, so that equal seeds give equal bits; who runs what."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two processes share the tests, one has all that start a Ray, the rest go by file.

    Two of them at a time would wait for each other's cores, and a fixture of a file is made once.
    """
    for item in items:
        file = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("ray" if item.get_closest_marker("ray") else file))
