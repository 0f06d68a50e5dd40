"""The published page's sections: a sentence of what was run, and its figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.peers.demands import quotient

Stored = dict[str, dict[str, Any] | None]
"""What each section left, ``None`` where it has not run."""

TITLES = {
    "peers": "LoRA trials, whole process",
    "utmost": "The same LoRA trials against every option of the peer",
    "full": "Full fine-tuning trials, whole process",
    "memory": "Memory of a worker",
    "overhead": "Cost of a trial besides computing",
    "steps": "Training steps",
    "workers": "One worker and two",
    "halving": "Stopping trials early",
    "longer": "Stopping longer trials early",
    "precision": "fp32 and bf16",
    "gpu": "GPU",
}
NOT_MEASURED = "Not measured"
GIB = 2**30
SYSTEMS = (
    "Wall time of the process from start to end; paretune's holds scores before training,"
    " latencies, checkpoints, test scores and the report as well. Peers: PEFT and Trainer in a Ray"
    " Tune function trainable with OptunaSearch. All score the first hidden state by a linear map."
)
PEERS = {
    "documented": "as the guides have it, every batch padded to its longest sequence",
    "tuned": "the same in bf16",
    "utmost": (
        "in bf16, with batches by length, larger evaluation batches, no checkpoints, no result"
        " files, workers that are used again, and one memory arena, without which such workers grow"
        " with every trial"
    ),
}

WARMED_UP = " Before that every system ran one trial that does not count, to warm the machine up."


def _compared(found: dict[str, Any]) -> list[str]:
    own = found["ours"]
    systems = {"paretune": {**own, "computed_in": [found["precision"]]}}
    systems |= {f"{kind} peer": peer for kind, peer in found["peers"].items()}
    rows = [
        (
            name,
            ", ".join(system["computed_in"]),
            f"{system['seconds']:.1f}",
            f"{system['seconds'] / found['trials']:.2f}",
            f"{system['seconds'] / own['seconds']:.2f}",
            f"{system['mean_accuracy']:.4f}",
        )
        for name, system in systems.items()
    ]
    pairs = [(f"{kind} peer", *_noise(p["difference"])) for kind, p in found["peers"].items()]
    return [
        f"{found['trials']} configurations, the same for all, 1 epoch of {found['train']} questions"
        f" of {found['dataset']}, {found['validation']} validation questions, model"
        f" {found['model']}. {SYSTEMS} "
        + " ".join(f"{kind.capitalize()}: {PEERS[kind]}." for kind in found["peers"])
        + (WARMED_UP if found.get("warmed_up") else ""),
        table(("system", "computes in", "s", "s per trial", "ratio", "mean accuracy"), rows),
        "Accuracy of ours less theirs, same configurations. SE: standard error of the mean of the"
        " paired differences, which share seed and questions; binomial SE: of one accuracy.",
        table(("against", "pairs", "mean", "sd", "SE", "binomial SE", "within 2 SE"), pairs),
    ]


def _noise(difference: dict[str, Any]) -> tuple[str, ...]:
    within = [
        name
        for key, name in (("within_paired", "paired"), ("within_binomial", "binomial"))
        if difference[key]
    ]
    figures = (difference[key] for key in ("mean", "deviation", "standard_error", "binomial"))
    return (
        str(difference["pairs"]),
        *(f"{round(value, 4) + 0.0:.4f}" for value in figures),
        " and ".join(within) or "neither",
    )


def memory(stored: Stored) -> list[str]:
    """Section 6, which is measured in sections 1 and 2."""
    rows = []
    for name in ("peers", "utmost", "full"):
        document = stored.get(name)
        if document:
            found = document["found"]
            systems = {"paretune": found["ours"], **found["peers"]}
            for system, figures in systems.items():
                worker = (figures["worker"][key] / GIB for key in ("rss", "pss", "uss"))
                rows.append((TITLES[name], system, *(f"{value:.2f}" for value in worker)))
    if not rows:
        return [f"{NOT_MEASURED}: the sections it is sampled in have not run."]
    return [
        "Largest of any Ray worker that runs trials, GiB, looked at once a second in the"
        " comparisons. RSS is the kernel's high-water mark and counts pages of libraries and of"
        " Ray's object store in every process that maps them; PSS divides them by those processes;"
        " USS is the worker's alone.",
        table(("run", "system", "RSS", "PSS", "USS"), rows),
    ]


def _overhead(found: dict[str, Any]) -> list[str]:
    rows = [
        (
            sampler,
            f"{run['trials']:,}",
            f"{run['seconds']:.1f}",
            f"{run['mean']:.3f}",
            f"{run['pace']['early']:.3f}",
            f"{run['pace']['late']:.3f}",
            *("-" if rss is None else f"{rss / 2**20:.0f}" for rss in run["driver"]),
        )
        for sampler, runs in found.items()
        for run in runs
    ]
    return [
        "A strategy that computes nothing, 8 questions per split, two knobs (a learning rate and an"
        " integer from 1 to 64), `paretune sweep` from start to end. Early: a tenth of the trials,"
        " around the end of the first tenth; late: the last tenth. Optuna's TPE looks at all"
        " trials of an arm that have ended before it draws the next. RSS of the driver when 10, 50"
        " and 100 % of the trials had ended, MiB.",
        table(
            (
                *("sampler", "trials", "s", "s per trial", "early", "late"),
                *("10 %", "50 %", "100 %"),
            ),
            rows,
        ),
    ]


def _steps(found: dict[str, Any]) -> list[str]:
    peak = found["peak"]["best"]
    rows = []
    for name, row in found["rows"].items():
        own = row["seconds"]["ours"]
        keys = ("other_same_loop", "other_plain_loop")
        others = [row["seconds"].get(key) for key in keys]
        rows.append(
            (
                name,
                f"{found['real_tokens'] / own:,.0f}",
                *(_or_dash(other, found["real_tokens"]) for other in others),
                *(_median(row["ratio"].get(key)) for key in keys),
                f"{row['real_flops'] / own / peak:.1%}",
                f"{row['padded_flops'] / own / peak:.1%}",
            )
        )
    head = ("strategy", "ours", "same loop", "plain loop", "ratio", "ratio", "MFU real", "padded")
    failed = [f"{n}: {r['other_failed']}" for n, r in found["rows"].items() if r["other_failed"]]
    return [
        f"Real tokens per second of {found['batches']} batches of 16 questions, one thread,"
        f" {found['precision']}, median of {found['rounds']} alternating rounds. Same loop: the"
        " method by PEFT (for linear and full the plain model) as a plug-in of paretune would be,"
        " with its loop, its kernels and its storage. Plain loop: the same under autocast in a loop"
        " as tutorials write it, with the same batches. Ratio: their time over ours, median of the"
        " rounds and two standard errors. The backbone runs in every step; a sweep reads it once"
        " where, as in linear, nothing inside it learns.",
        table(head, rows),
        f"MFU: operations of the matrix products a step needs over time and peak. Peak: best of"
        f" several {found['precision']} products on one thread, {peak / 1e9:.0f} GFLOP/s; best of"
        f" the model's own shapes {found['peak']['own'] / 1e9:.0f}. Needed are, per weight and"
        " token, 2 operations forward, 2 for the gradient of the activations where something"
        " below learns, 2 for that of the weights where they learn, and attention's products,"
        " as autograd runs them; what the head does not read of the last block is not counted."
        " Real: of the"
        f" {found['real_tokens']:,} tokens of text; padded: of the {found['padded_tokens']:,} that"
        " paretune computes.",
        *failed,
    ]


def _median(ratio: dict[str, float] | None) -> str:
    return "-" if ratio is None else f"{ratio['median']:.3f} ± {2 * ratio['error']:.3f}"


def _or_dash(seconds: float | None, tokens: int) -> str:
    return "-" if seconds is None else f"{tokens / seconds:,.0f}"


def _workers(found: dict[str, Any]) -> list[str]:
    one, two = found["workers"]["1"], found["workers"]["2"]
    rows = [
        (count, f"{run['seconds']:.1f}", f"{run['trial_seconds']:.1f}")
        for count, run in found["workers"].items()
    ]
    ratios = [f"{one[key] / two[key]:.2f}" for key in ("seconds", "trial_seconds")]
    return [
        f"The same {found['trials']} LoRA trials, 1 epoch of {found['train']} questions. Trial"
        " seconds: loading, training and validation summed over trials.",
        table(("workers", "s", "trial s"), [*rows, ("ratio", *ratios)]),
    ]


def _halving(found: dict[str, Any]) -> list[str]:
    runs = found["runs"]
    rows = [
        (
            name,
            f"{run['hypervolume']:.4f}",
            f"{run['train_seconds']:.1f}",
            f"{run['seconds']:.1f}",
            f"{run['best_accuracy']:.3f}",
            ", ".join(f"{count} {status}" for status, count in run["statuses"].items()),
        )
        for name, run in runs.items()
    ]
    ratios = [
        f"{quotient(runs['with'][key], runs['without'][key]):.3f}"
        for key in ("hypervolume", "train_seconds", "seconds")
    ]
    return [
        f"{', '.join(found['strategies'])}: {found['trials']} trials each, {found['epochs']} epochs"
        f" of {found['train']} questions in batches of {found['batch_size']},"
        f" {found['validation']} validation questions, sampler random, same configurations."
        " Halving: reduction factor 2, grace 1 epoch. Hypervolume of the completed trials over"
        " (1 - accuracy, log10 trained parameters), reference (1 - chance, log10 total"
        " parameters), as a share.",
        table(
            ("halving", "hypervolume", "train s", "wall s", "best accuracy", "trials"),
            [*rows, ("with / without", *ratios, "", "")],
        ),
    ]


def _precision(found: dict[str, Any]) -> list[str]:
    rows = [
        (
            name,
            *(f"{row['means'][k]:.4f} ± {row['deviations'][k]:.4f}" for k in ("fp32", "bf16")),
            f"{row['difference']:+.4f}",
            f"{row['noise']:.4f}",
            "yes" if row["within"] else "no",
        )
        for name, row in found["rows"].items()
    ]
    return [
        f"Validation accuracy ({found['validation']} questions) after 1 epoch of {found['train']}"
        f" questions, mean ± sd over {found['seeds']} seeds, same configurations.",
        table(("strategy", "fp32", "bf16", "bf16 - fp32", "SE", "within 2 SE"), rows),
    ]


def _gpu(found: dict[str, Any]) -> list[str]:
    rows = [(str(count), f"{rate:.0f}") for count, rate in found["packed"].items()]
    return [
        "BERT-base shapes with random weights.",
        *_compared(found["peers"]),
        table(("trials at a time on one GPU", "trials per GPU-hour"), rows),
    ]


SECTIONS = {
    "peers": _compared,
    "utmost": _compared,
    "full": _compared,
    "overhead": _overhead,
    "steps": _steps,
    "workers": _workers,
    "halving": _halving,
    "longer": _halving,
    "precision": _precision,
    "gpu": _gpu,
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
