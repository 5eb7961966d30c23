"""COCO's average precision."""

import numpy as np
import pytest

from napari_leafseg.metrics import average_precision
from tests.conftest import discs


def as_masks(labels, scores=None):
    everywhere = (slice(0, labels.shape[0]), slice(0, labels.shape[1]))
    leaves = [leaf for leaf in np.unique(labels) if leaf]
    return [(1.0 if scores is None else scores[at], everywhere, labels == leaf) for at, leaf in enumerate(leaves)]


def test_perfect_masks_have_1_and_none_have_0():
    truth = discs()
    assert average_precision([(truth, as_masks(truth))])[:3] == pytest.approx((1, 1, 1))
    assert average_precision([(truth, [])]).ap == 0
    assert np.isnan(average_precision([(np.zeros_like(truth), as_masks(truth))]).ap)


def test_false_masks_cost_only_where_they_are_surer_than_true_ones():
    truth = np.zeros((60, 60), int)
    truth[5:25, 5:25], truth[30:50, 30:50] = 1, 2
    wrong = np.zeros((60, 60), bool)
    wrong[5:25, 35:55] = True
    everywhere = (slice(0, 60), slice(0, 60))
    late = average_precision([(truth, [*as_masks(truth, [0.9, 0.8]), (0.1, everywhere, wrong)])])
    early = average_precision([(truth, [*as_masks(truth, [0.9, 0.8]), (0.95, everywhere, wrong)])])
    assert late.ap50 == pytest.approx(1)
    # precision is 1/2 at the first true leaf and 2/3 at the second; precision at a recall is the best beyond it
    assert early.ap50 == pytest.approx(2 / 3, abs=1e-3)


def test_loose_masks_pass_50_but_not_75():
    truth = np.zeros((60, 60), int)
    truth[10:40, 10:40] = 1
    loose = np.zeros((60, 60), bool)
    loose[10:40, 10:30] = True  # IoU 2/3
    figures = average_precision([(truth, [(0.9, (slice(0, 60), slice(0, 60)), loose)])])
    assert figures.ap50 == pytest.approx(1)
    assert figures.ap75 == 0
    assert figures.ap == pytest.approx(0.4)  # IoU thresholds 0.50, 0.55, 0.60, 0.65 of ten


def test_sizes_are_scored_apart():
    truth = np.zeros((200, 200), int)
    truth[5:15, 5:15], truth[60:180, 60:180] = 1, 2
    figures = average_precision([(truth, as_masks(truth)[:1])])
    assert (figures.small, figures.large) == pytest.approx((1, 0))
    assert np.isnan(figures.medium)
