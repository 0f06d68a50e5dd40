"""Who gets in, and what gets out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli import entry
from bench.cluster import join as cluster_module
from bench.cluster import token as token_module
from bench.cluster.join import cluster
from bench.errors import ClusterError
from bench.records.scrub import HIDDEN, scrub, scrubbed
from bench.study.run_options import RunOptions
from tests.helpers.records import trial


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("token hf_abcdefghijklmnop!", f"token {HIDDEN}!"),
        ("git clone https://user:pass@example.org/x", f"git clone https://{HIDDEN}@example.org/x"),
        ("git clone https://ghp_1234@example.org/x", f"git clone https://{HIDDEN}@example.org/x"),
        ("with s3cret-value inside", f"with {HIDDEN} inside"),
        (json.dumps('pä"ss wörd'), f'"{HIDDEN}"'),
        (json.dumps('pä"ss wörd', ensure_ascii=False), f'"{HIDDEN}"'),
        ('"quo\\"ted secret"', f'"{HIDDEN}"'),
        ("TOKENIZERS_PARALLELISM=false", "TOKENIZERS_PARALLELISM=false"),
    ],
)
def test_s07_secrets_are_hidden_in_any_text(text: str, clean: str) -> None:
    environment = {
        "AWS_SECRET_ACCESS_KEY": "s3cret-value",
        "db_password": 'quo"ted secret',
        "DB_PASSWORD": 'pä"ss wörd',
        "TOKENIZERS_PARALLELISM": "false",
        "PATH": "/usr/bin",
    }
    assert scrub(text, environment) == clean


def test_s07_a_secret_that_is_the_name_of_an_arm_does_not_break_its_record() -> None:
    record = trial("adapter", reason="adapter is open")
    clean = scrubbed(record, {"DB_PASSWORD": "adapter"})
    assert clean.reason == f"{HIDDEN} is open"
    assert clean == record.model_copy(update={"reason": clean.reason})


def test_s07_a_fault_of_ours_is_told_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash() -> None:
        raise RuntimeError("no entry with s3cret-value")

    monkeypatch.setenv("MY_TOKEN", "s3cret-value")
    monkeypatch.setattr(entry, "app", crash)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert "Traceback" in told
    assert f"RuntimeError: no entry with {HIDDEN}" in told
    assert "s3cret" not in told


@pytest.mark.parametrize("address", ["10.1.2.3:6379", "head.example.org:6379", "[fd00::1]:6379"])
def test_s01_an_open_cluster_of_other_machines_is_refused_before_it_is_joined(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setattr(cluster_module.ray, "init", lambda **_: pytest.fail("joined"))
    with (
        pytest.raises(ClusterError, match=r"it asks for no token.*--insecure-cluster"),
        cluster(RunOptions(address=address)),
    ):
        pass


def test_s01_a_token_that_others_can_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "auth_token"
    token.write_text("x" * 64)
    token.chmod(0o644)
    monkeypatch.setattr(token_module, "PATH", token)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with (
        pytest.raises(ClusterError, match=r"can be read by others; run: chmod 600"),
        cluster(RunOptions(address="10.1.2.3:6379")),
    ):
        pass


def test_s02_a_local_ray_has_no_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def init(**options: object) -> None:
        asked.update(options)
        raise ValueError("enough")

    monkeypatch.setattr(cluster_module.ray, "init", init)
    with pytest.raises(ClusterError, match="enough"), cluster(RunOptions()):
        pass
    assert asked["include_dashboard"] is False
    assert asked["address"] == "local"
