"""Closed forms of the report against scipy's and statsmodels' own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from reports.statistics.pairwise import ArmAnswers, cochran, detectable, holm, mcnemar_p
from reports.statistics.seeds import Seeds
from reports.statistics.uncertainty import Estimate, wilson

GENERATORS = [np.random.default_rng(seed) for seed in range(20)]


@pytest.mark.parametrize("generator", GENERATORS)
def test_holm_s_correction_is_that_of_statsmodels(generator: np.random.Generator) -> None:
    found = (generator.random(int(generator.integers(1, 12))) ** 3).tolist()
    found += found[:2]  # ties
    assert holm(found) == pytest.approx(multipletests(found, 0.05, method="holm")[1], rel=1e-12)


@pytest.mark.parametrize("generator", GENERATORS)
def test_mcnemar_s_exact_test_is_that_of_statsmodels(generator: np.random.Generator) -> None:
    questions = int(generator.integers(1, 300))
    first, second = generator.random((2, questions)) < generator.random((2, 1))
    table = [[0, int((first & ~second).sum())], [int((~first & second).sum()), 0]]
    assert mcnemar_p(first, second) == pytest.approx(mcnemar(table).pvalue, rel=1e-9)


@pytest.mark.parametrize("generator", GENERATORS)
def test_cochran_s_q_is_that_of_statsmodels(generator: np.random.Generator) -> None:
    arms = int(generator.integers(2, 8))
    right = generator.random((arms, 120)) < generator.uniform(0.3, 0.8, (arms, 1))
    mine = cochran(
        [
            ArmAnswers(arm=str(n), parameters=1, seeds=(7,), right=row[None])
            for n, row in enumerate(right)
        ]
    )
    assert mine == pytest.approx([cochrans_q(right.T.astype(int)).pvalue], rel=1e-9)


@pytest.mark.parametrize(("right", "questions"), [(0, 1), (1, 1), (300, 500), (0, 40), (39, 40)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_wilson_s_interval_is_that_of_statsmodels(
    right: int, questions: int, confidence: float
) -> None:
    theirs = proportion_confint(right, questions, 1 - confidence, method="wilson")
    expected = (max(0.0, theirs[0]), min(1.0, theirs[1]))
    assert wilson(right, questions, confidence) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2.5, 4, 30, 499])
def test_what_could_have_been_found_is_by_student_s_quantiles(freedom: float) -> None:
    apart = Estimate(value=0.1, low=0.0, high=0.2, error=0.03, freedom=freedom, of_seeds=True)
    expected = (stats.t.ppf(0.975, freedom) + stats.t.ppf(0.8, freedom)) * 0.03
    assert detectable(apart) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count", range(1, 12))
def test_the_mean_of_the_middle_half_is_scipy_s_trimmed_mean(count: int) -> None:
    values = np.random.default_rng(count).random(count).tolist()
    assert Seeds.of(values).iqm == pytest.approx(stats.trim_mean(values, 0.25), rel=1e-12)
