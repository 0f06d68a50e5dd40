"""The shipped cluster file, held against Ray's own schema and our promises."""

import json
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

PATH = Path(__file__).parent.parent / "ray_cluster.yaml"


@pytest.fixture(scope="module")
def text() -> str:
    return PATH.read_text(encoding="utf-8")


def test_ray_accepts_the_file(text: str) -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"

    jsonschema.validate(yaml.safe_load(text), json.loads(schema.read_text(encoding="utf-8")))


def test_every_ray_process_is_started_with_a_token(text: str) -> None:
    content = yaml.safe_load(text)
    starts = [
        command
        for group in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in content[group]
        if "ray start" in command
    ]

    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert content["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_nothing_listens_to_the_world(text: str) -> None:
    assert "0.0.0.0" not in text
    assert "--dashboard-host=127.0.0.1" in text


def test_it_opens_with_the_commands_that_use_it(text: str) -> None:
    opening = text.split("cluster_name")[0]

    for command in (
        "ray get-auth-token",
        "ray up",
        "paretune launch",
        "paretune fetch",
        "ray down",
    ):
        assert command in opening
