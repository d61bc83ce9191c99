"""One label heard and others not, against the probabilities multiplied."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.detection.scoring import logit_without, probabilities

LOGITS = st.floats(-700, 700)


def heard(wanted: float, unwanted: list[float]) -> float:
    (logit,) = logit_without(np.array([wanted]), np.array([unwanted]).reshape(1, -1))
    return float(logit)


@given(LOGITS)
def test_alone_a_logit_stays_as_it_is(wanted):
    assert heard(wanted, []) == wanted


@given(st.floats(-20, 20), st.lists(st.floats(-20, 20), min_size=1, max_size=3))
def test_it_is_the_product_of_the_probabilities(wanted, unwanted):
    product = 1 / (1 + np.exp(-wanted)) * np.prod([1 / (1 + np.exp(logit)) for logit in unwanted])
    np.testing.assert_allclose(probabilities([heard(wanted, unwanted)]), product, rtol=1e-5, atol=0)


@given(LOGITS, LOGITS, st.floats(0.01, 50))
def test_it_rises_with_what_is_wanted_and_falls_with_what_is_not(wanted, unwanted, more):
    assert heard(wanted + more, [unwanted]) >= heard(wanted, [unwanted])
    assert heard(wanted, [unwanted + more]) <= heard(wanted, [unwanted])


@given(LOGITS)
def test_what_is_certainly_absent_pushes_nothing_away(wanted):
    np.testing.assert_allclose(heard(wanted, [-750.0]), wanted, rtol=1e-9, atol=1e-9)
