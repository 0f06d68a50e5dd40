"""A run whose trials were really trained, made without Ray; and exports loaded by others."""

from __future__ import annotations

import json
import shlex
import site
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.data.tasks.multiple_choice import MultipleChoice
from bench.errors import Faults
from bench.export.manifest import Manifest
from bench.export.trained import Trained, base_of, sample_of
from bench.pretrained.source import locate
from bench.records.spec import TrialSpec
from bench.records.trial_record import TrialRecord
from bench.storage.ledger import Ledger
from bench.strategy import Strategy
from bench.study.experiment import Experiment, prepare
from bench.task import AnyTask
from bench.training.measure import trained_tensors
from bench.training.trial import Trial, score_test
from bench.training.worker_state import Workbench
from bench.tune.confirmation import make_freeze
from tests.helpers.folders import write_dataset, write_model
from tests.helpers.requests import typed_request
from tests.helpers.trials import make_spec

CPU = torch.device("cpu")
QUESTIONS = MultipleChoice()
DECODERS = frozenset({"qwen3", "llama"})
TYPED = frozenset({"bert", "electra", "deberta-v2"})


def write_typed_model(folder: Path, family: str) -> Path:
    """A tiny model, whose tokenizer tells types of tokens apart where those of its family do."""
    write_model(folder, family=family, first_token=family not in DECODERS)
    if family in TYPED:
        path = folder / "tokenizer_config.json"
        names = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
        path.write_text(json.dumps(json.loads(path.read_text()) | names))
    return folder


def make_trained(
    folder: Path,
    strategy: Strategy,
    family: str = "bert",
    task: AnyTask = QUESTIONS,
    **settings: Any,
) -> Trained:
    """A strategy on a tiny model of a folder, as if it had learnt: every tensor is moved."""
    first_token = family not in DECODERS
    if not folder.exists():
        write_typed_model(folder, family)
    spec = make_spec(strategy, **{"pooling": "cls" if first_token else "last"} | settings)
    spec = replace(spec, task=task)
    source = locate(str(folder))
    model = Trained(spec, source, {}).workbench.adapted(spec)
    generator = torch.Generator().manual_seed(1)
    moved = {
        name: tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in trained_tensors(model).items()
    }
    return Trained(spec, source, moved)


def make_manifest(trained: Trained, form: str, **changes: Any) -> Manifest:
    spec = trained.spec
    parts: dict[str, Any] = {
        "format": form,
        "paretune": "0",
        "study": spec.study,
        "trial": spec.trial,
        "fingerprint": spec.fingerprint,
        "task": spec.task.name,
        "task_settings": spec.task.settings,
        "columns": {},
        "strategy": spec.strategy.name,
        "knobs": spec.strategy.knobs,
        "learning_rate": spec.learning_rate,
        "seed": spec.seed,
        "settings": spec.settings,
        "epochs": 1,
        "trained_on": ("train",),
        "base": base_of(trained.source),
    }
    return Manifest(**parts | changes)


def make_run(folder: Path, *options: str, fresh: int = 1, data: Path | None = None) -> Path:
    """A run folder of real trials on a tiny model: searched, frozen, confirmed and tested."""
    model = write_typed_model(folder / "model", "bert")
    data = data or write_dataset(folder / "data")
    run = folder / "run"
    command = [
        "sweep", "--model", str(model), "--dataset", str(data), "--trials", "1", "--epochs", "2",
        "--batch-size", "8", "--precision", "fp32", "--confirm", str(fresh), "--out", str(run),
        *options,
    ]  # fmt: skip
    prepared = _prepared(command, run)
    _run_all(prepared, fresh)
    return run


def _prepared(command: Sequence[str], run: Path) -> Experiment:
    request = typed_request(shlex.join(["paretune", *command]))
    faults = Faults()
    return prepare(request.check(faults), run, request, faults)


def _run_all(prepared: Experiment, fresh: int) -> None:
    ledger, seed = prepared.ledger, prepared.study.file.seed
    workbench = Workbench(
        backbone=prepared.source.backbone(),
        train=prepared.tokens("train"),
        validation=prepared.tokens("validation"),
        device=CPU,
        precision="fp32",
        device_shared=False,
    )
    ledger.write_study(prepared.record(truncated=0.0, tokenise_seconds=0.0, notices=()))
    searched = [_ran(prepared.plan_spec(arm), workbench, ledger) for arm in prepared.study.arms]
    freeze = ledger.write_freeze(make_freeze(searched, seed=seed, seeds=fresh))
    test = prepared.test_tokens(freeze)
    for record in [record for record in searched if record.fingerprint in freeze.by_fingerprint]:
        for again in freeze.seeds:
            spec = prepared.spec_of(record, seed=again)
            confirmed = _ran(spec, workbench, ledger)
            hashed = prepared.dataset.test.summary.fingerprint
            checkpoint = Path(str(ledger.checkpoint(spec.fingerprint)))
            score = score_test(spec, workbench, checkpoint, test, hashed)
            ledger.write(confirmed.model_copy(update={"test": score}))


def _ran(spec: TrialSpec, workbench: Workbench, ledger: Ledger) -> TrialRecord:
    trial = Trial(spec, workbench, Path(str(ledger.checkpoint(spec.fingerprint))))
    while not (progress := trial.advance()).ended:
        pass
    return ledger.write(progress.record)


def snippet_of(export: Path) -> str:
    """The program of a model card."""
    return (export / "README.md").read_text().partition("```python\n")[2].partition("```")[0]


def elsewhere(program: str, folder: Path) -> str:
    """What a program prints in a fresh process that has our dependencies but not paretune.

    Packages are taken from their folder alone: what an editable installation adds to the path by
    ``.pth`` files is not there.
    """
    guard = (
        "import sys\n"
        f"sys.path += {site.getsitepackages()!r}\n"
        "try:\n    import bench\nexcept ImportError:\n    pass\n"
        "else:\n    raise SystemExit('paretune is here')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", f"{guard}{program}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


Logits = list[list[float]]


def logits_elsewhere(exports: Mapping[Path, Trained]) -> list[Logits]:
    """Logits of made-up examples by the program of each card, all run where paretune is not."""
    parts = ["import json, os\nevery = []\n"]
    for export, trained in exports.items():
        task = trained.spec.task
        asked = [task.segments(example) for example in sample_of(task, trained.tokenizer)]
        head, line, rest = snippet_of(export).partition("sequences = ")
        assert line
        body = rest.partition("\n")[2].partition("print(")[0]
        inside = "\n".join(f"    {row}" for row in body.splitlines())
        parts.append(
            f"os.chdir({str(export)!r})\n{head}\nfound = []\n"
            f"for sequences in {asked!r}:\n{inside}\n    found.append(logits.tolist())\n"
            "every.append(found)\n"
        )
    printed = elsewhere("".join([*parts, "print(json.dumps(every))\n"]), next(iter(exports)))
    found: list[Logits] = json.loads(printed.splitlines()[-1])
    return found
