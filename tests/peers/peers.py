"""The peers: PEFT, Trainer and a Ray Tune function trainable, written as their documentation does.

Run as a program with a JSON file that says what to train; writes what came of it beside that file.
``documented`` keeps to the multiple-choice guide of transformers, whose collator pads every batch
to its longest sequence; ``tuned`` computes in bf16 as well; ``utmost`` takes every option of
Trainer and Tune that saves time here: questions of like length together, larger evaluation
batches, no checkpoints, no result files, workers that stay alive.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from peft import LoraConfig, get_peft_model
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from torch import nn
from transformers import (
    AutoModelForMultipleChoice,
    AutoTokenizer,
    DataCollatorForMultipleChoice,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import EvalPrediction

Task = dict[str, Any]

TARGETS: dict[str, list[str] | str] = {
    "query_value": ["query", "value"],
    "attention": r".*attention\.(self\.(query|key|value)|output\.dense)",
    "all_linear": r".*encoder\.layer.*\.(query|key|value|dense)",
}
SPACES: dict[str, dict[str, BaseDistribution]] = {
    "lora": {
        "learning_rate": FloatDistribution(1e-4, 5e-3, log=True),
        "rank": IntDistribution(1, 64, log=True),
        "targets": CategoricalDistribution(tuple(TARGETS)),
    },
    "full": {"learning_rate": FloatDistribution(1e-5, 2e-4, log=True)},
}


class FirstToken(nn.Module):
    """Stands for the pooler, so that all systems score the first hidden state by a linear map."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states[:, 0]


def tokenised(path: Path, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """A split with ``input_ids`` of every choice, as the multiple-choice guide makes it."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def encode(row: dict[str, Any]) -> dict[str, Any]:
        choices = row["choices"]["text"]
        encoded = tokenizer(
            [row["question"]] * len(choices), choices, truncation=True, max_length=max_length
        )
        label = row["choices"]["label"].index(row["answerKey"])
        return {**encoded, "label": label, "length": max(map(len, encoded["input_ids"]))}

    return Dataset.from_list([encode(row) for row in rows])


class Collator(DataCollatorForMultipleChoice):
    """Pads to the longest; the length is for the sampler, not for the model."""

    def torch_call(self, examples: list[dict[str, Any]]) -> Any:
        kept = [{k: v for k, v in example.items() if k != "length"} for example in examples]
        return super().torch_call(kept)


def build(config: dict[str, Any], task: Task) -> nn.Module:
    """The model of one trial."""
    set_seed(task["seed"])
    model: PreTrainedModel = AutoModelForMultipleChoice.from_pretrained(task["model"])
    model.base_model.pooler = FirstToken()
    if task["method"] == "full":
        return model
    lora = LoraConfig(
        r=config["rank"],
        lora_alpha=task["alpha_ratio"] * config["rank"],
        lora_dropout=task["dropout"],
        target_modules=TARGETS[config["targets"]],
        modules_to_save=["classifier"],
    )
    return get_peft_model(model, lora)


def arguments(config: dict[str, Any], task: Task, folder: str) -> TrainingArguments:
    """Options of Trainer."""
    documented: dict[str, Any] = {
        "output_dir": folder,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "load_best_model_at_end": True,
        "learning_rate": config["learning_rate"],
        "per_device_train_batch_size": task["batch_size"],
        "per_device_eval_batch_size": task["batch_size"],
        "num_train_epochs": 1,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
        "max_grad_norm": 1.0,
        "lr_scheduler_type": "linear",
        "seed": task["seed"],
        "label_names": ["labels"],
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
    }
    tuned = {"bf16": True}
    utmost: dict[str, Any] = {
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "logging_strategy": "no",
        "per_device_eval_batch_size": 32,
        "dataloader_num_workers": 0,
        "train_sampling_strategy": "group_by_length",
        "length_column_name": "length",
        "remove_unused_columns": False,  # or Trainer drops the lengths before it sorts by them
    }
    kinds = {"documented": {}, "tuned": tuned, "utmost": tuned | utmost}
    return TrainingArguments(**documented | kinds[task["kind"]])


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Share of questions answered right."""
    chosen = np.asarray(prediction.predictions).argmax(1)
    return {"accuracy": float((chosen == prediction.label_ids).mean())}


def train_one(
    config: dict[str, Any],
    task: Task,
    train: Dataset,
    validation: Dataset,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """One trial: the function trainable."""
    model = build(config, task)
    seen = _note_type(model)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=arguments(config, task, folder),
            train_dataset=train,
            eval_dataset=validation,
            processing_class=tokenizer,
            data_collator=Collator(tokenizer=tokenizer),
            compute_metrics=accuracy,
        )
        trainer.train()
    scores = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_loss" in entry]
    tune.report({"eval_accuracy": scores[-1], "computed_in": seen[0]})
    del trainer, model
    gc.collect()  # a worker that is used again would keep every trial's Trainer: they are cycles


def _note_type(model: nn.Module) -> list[str]:
    """Notes the type a linear layer of the backbone computes in, at the first batch."""
    seen: list[str] = []
    layer = next(m for n, m in model.named_modules() if n.endswith("layer.0.intermediate.dense"))

    def note(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        seen.append(str(output.dtype).removeprefix("torch."))
        handle.remove()

    handle = layer.register_forward_hook(note)
    return seen


def search(task: Task) -> list[dict[str, Any]]:
    """Runs every configuration of the task."""
    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    data = Path(task["dataset"])
    splits = {
        split: tokenised(data / f"{split}.jsonl", tokenizer, task["max_length"])
        for split in ("train", "validation")
    }
    points = task["points"]
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(train_one, task=task, tokenizer=tokenizer, **splits),
            {"cpu": 1, "gpu": task["gpus_per_trial"]},
        ),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(
                SPACES[task["method"]],
                metric="eval_accuracy",
                mode="max",
                points_to_evaluate=points,
                seed=task["seed"],
            ),
            num_samples=len(points),
            reuse_actors=task["kind"] == "utmost",
        ),
        run_config=tune.RunConfig(storage_path=task["storage"], name=task["kind"]),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    return [_found(results[index]) for index in range(len(results))]


def _found(result: tune.Result) -> dict[str, Any]:
    metrics = result.metrics or {}
    wanted = {name: metrics[name] for name in ("eval_accuracy", "computed_in")}
    return {**(result.config or {}), **wanted}


def main() -> None:
    path = Path(sys.argv[1])
    task = json.loads(path.read_bytes())
    if task["kind"] == "utmost":
        os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    found = search(task)
    path.with_suffix(".result.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
