"""The cluster files we ship, held against Ray's own reading of them and against our promises."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig

from bench.cluster.nodes import limits_of

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "ray_cluster.yaml"
TEXT = SHIPPED.read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "run-on-a-cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)
FILES = [TEXT, *(text for kind, text in BLOCKS if kind == "yaml" and "cluster_name:" in text)]
SECRET = re.compile(r"AKIA[0-9A-Z]{16}|hf_\w{20,}|(?i:secret|password|token)\s*[:=]\s*[\w+/]{16,}")
HIDDEN = re.compile(r"\b[0-9a-fA-F]{32,}\b")


def starts(content: dict[str, Any]) -> list[str]:
    """Commands that start Ray on a node."""
    groups = ("head_start_ray_commands", "worker_start_ray_commands")
    return [line for group in groups for line in content[group] if "ray start" in line]


def script() -> str:
    """The batch script of the guide."""
    (found,) = (text for kind, text in BLOCKS if kind == "sh" and "#SBATCH" in text)
    return found


def test_the_guide_has_a_cluster_file_of_its_own() -> None:
    assert len(FILES) == 2


@pytest.mark.parametrize("text", FILES, ids=["shipped", "guide"])
class TestEveryFile:
    def test_ray_accepts_it(self, text: str) -> None:
        schema = (Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text("utf-8")
        jsonschema.validate(yaml.safe_load(text), json.loads(schema))

    def test_ray_fills_it_in_and_accepts_that_too(self, text: str) -> None:
        filled = prepare_config(yaml.safe_load(text))
        validate_config(filled)
        again = AutoscalingConfig(copy.deepcopy(filled), skip_content_hash=True)
        assert again.get_node_type_configs()

    def test_every_ray_process_is_started_with_a_token(self, text: str) -> None:
        content = yaml.safe_load(text)
        assert len(starts(content)) == 2
        assert all("RAY_AUTH_MODE=token ray start" in line for line in starts(content))
        assert content["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
        assert "chmod 600 ~/.ray/auth_token" in content["setup_commands"][0]

    def test_nothing_listens_to_the_world_and_nothing_secret_is_inside(self, text: str) -> None:
        (head,) = (line for line in starts(yaml.safe_load(text)) if "--head" in line)
        assert "--dashboard-host=127.0.0.1" in head
        assert "0.0.0.0" not in text
        assert not SECRET.search(text)
        assert not HIDDEN.search(text)

    def test_the_same_wheel_with_pinned_packages_is_installed_on_every_node(
        self, text: str
    ) -> None:
        content = yaml.safe_load(text)
        mounts = content["file_mounts"]
        assert (mounts["~/paretune/dist"], mounts["~/paretune/constraints.txt"]) == (
            "dist",
            "constraints.txt",
        )
        (install,) = (line for line in content["setup_commands"] if "pip install" in line)
        assert "-c ~/paretune/constraints.txt" in install
        assert "paretune-*.whl" in install
        assert "cluster" in install

    def test_every_node_has_what_a_sweep_needs_of_its_environment(self, text: str) -> None:
        content = yaml.safe_load(text)
        (written,) = (line for line in content["setup_commands"] if line.startswith("printf"))
        for setting in (
            "PATH=$HOME/paretune/venv/bin:$PATH",
            "RAY_AUTH_MODE=token",
            "RAY_memory_monitor_refresh_ms=0",
            "RAY_USAGE_STATS_ENABLED=0",
        ):
            assert setting in written
        for line in starts(content):
            assert line.startswith(". ~/paretune/environment; ulimit -n 65536;")

    def test_its_commands_are_shell(self, text: str, tmp_path: Path) -> None:
        content = yaml.safe_load(text)
        groups = [name for name in content if name.endswith("_commands")]
        lines = [line for group in groups for line in content[group]]
        check_shell("\n".join(lines), tmp_path)


def check_shell(text: str, folder: Path) -> None:
    path = folder / "script.sh"
    path.write_text(text, encoding="utf-8")
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--shell=bash", "--severity=warning", path], check=True)


def test_it_opens_with_the_commands_that_use_it() -> None:
    opening = TEXT.split("cluster_name")[0]
    for command in (
        "make wheel",
        "umask 077; ray get-auth-token --generate",
        "ray up",
        "paretune launch",
        "ray exec",
        "ray down",
    ):
        assert command in opening


def test_the_head_is_on_demand_and_machines_with_gpus_are_spot_and_come_when_needed() -> None:
    content = prepare_config(yaml.safe_load(TEXT))
    types = content["available_node_types"]
    head = types.pop(content["head_node_type"])
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"] == {"CPU": 0}
    assert head["max_workers"] == 0
    for kind in types.values():
        assert kind["min_workers"] == 0
        assert kind["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert content["idle_timeout_minutes"] <= 10
    assert content["provider"]["cache_stopped_nodes"] is False


def test_what_a_person_has_to_fill_in_is_marked() -> None:
    for line in TEXT.splitlines():
        if re.search(r"region:|InstanceType: g|max_workers:|ImageId:|SecurityGroupIds:", line):
            assert "FILL" in line, line


@pytest.mark.slow
def test_ray_works_out_what_the_machines_are_and_how_far_the_cluster_may_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of `ray up` before the first machine, against a stand-in for AWS."""
    from moto import mock_aws

    monkeypatch.setenv("HOME", str(tmp_path))  # Ray writes a key there
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    region = yaml.safe_load(TEXT)["provider"]["region"]
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        from ray.autoscaler._private.commands import _bootstrap_config

        text = filled_in(TEXT, region)
        resolved = _bootstrap_config(yaml.safe_load(text), no_config_cache=True)
    gpu = resolved["available_node_types"]["gpu"]
    assert gpu["resources"]["GPU"] == 1
    assert gpu["node_config"]["KeyName"]
    limits = limits_of(resolved)
    assert limits.most == 4
    assert [node["GPU"] for node in limits.arrivals([])] == [1.0] * 4
    assert len(limits.arrivals([gpu["resources"]])) == 3


def filled_in(text: str, region: str) -> str:
    """The shipped file with a security group and an image that exist, as a person fills it in."""
    import boto3

    ec2, iam = boto3.client("ec2", region_name=region), boto3.client("iam")
    network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="own", Description="own", VpcId=network)
    role = {"RoleName": "ray-autoscaler-v1"}  # there already, else Ray waits for it
    profile = {"InstanceProfileName": "ray-autoscaler-v1"}
    iam.create_role(**role, AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(**profile)
    iam.add_role_to_instance_profile(**role, **profile)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    return text.replace("sg-FILL", group["GroupId"]).replace("ami-FILL", image)


def test_the_batch_script_is_shell_and_starts_ray_with_a_token_and_no_dashboard(
    tmp_path: Path,
) -> None:
    text = script()
    check_shell(text, tmp_path)
    assert text.index("export RAY_AUTH_MODE=token") < text.index("ray start")
    assert "umask 077" in text
    assert "--include-dashboard=false" in text
    assert "0.0.0.0" not in text
    assert re.search(r'paretune sweep \w+ --address "\$address" --out "\$out"', text)
    assert "scontrol requeue" in text


def test_the_job_for_kubernetes_asks_for_a_token_and_gives_its_pods_back() -> None:
    (text,) = (text for kind, text in BLOCKS if kind == "yaml" and "kind: RayJob" in text)
    job = yaml.safe_load(text)["spec"]
    cluster = job["rayClusterSpec"]
    assert job["shutdownAfterJobFinishes"] is True
    assert job["entrypoint"].startswith("paretune sweep ")
    assert "--address auto" in job["entrypoint"]
    assert "--out s3://" in job["entrypoint"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "paretune-token"}
    assert cluster["rayVersion"] == ray.__version__
    assert f"kubectl create secret generic {cluster['authOptions']['secretName']}" in GUIDE
    head = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    (workers,) = cluster["workerGroupSpecs"]
    (worker,) = workers["template"]["spec"]["containers"]
    assert worker["image"] == head[0]["image"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_guide_holds_no_secret_and_opens_nothing() -> None:
    assert "0.0.0.0" not in GUIDE
    assert not SECRET.search(GUIDE)
    assert not HIDDEN.search(GUIDE)
