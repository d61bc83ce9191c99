import torch

from training import calibrate, codec
from training.concepts import FIRST
from training.kinds import KINDS
from training.student import Student

LABELS = [concept.label for concept in FIRST]


def logits_and_labels() -> tuple[torch.Tensor, list[str]]:
    """Recordings whose own logit is 4 too high, and backgrounds of which everything is said."""
    generator = torch.Generator().manual_seed(0)
    labels = [LABELS[index % 10] for index in range(100)] + ["bg"] * 20 + ["x:whale"] * 20
    logits = torch.randn(len(labels), len(LABELS), generator=generator) + 3
    for row, label in enumerate(labels[:100]):
        logits[row, LABELS.index(label)] += 4
    return logits, labels


def test_backgrounds_and_unknown_sounds_are_told_by_low_probabilities_and_right_labels_by_high_ones():
    logits, labels = logits_and_labels()
    groups = [str(index) for index in range(len(labels))]
    for calibrated in (calibrate.fit(logits, labels)(logits), calibrate.held_out(logits, labels, groups)):
        probability = calibrated.sigmoid()
        right = torch.tensor([probability[row, LABELS.index(label)] for row, label in enumerate(labels[:100])])
        assert (probability[100:].amax(1) < 0.5).float().mean() > 0.9
        assert (right > 0.3).float().mean() > 0.8


def test_what_is_measured_is_not_what_was_fitted_on():
    logits, labels = logits_and_labels()
    one_origin = ["a"] * 70 + [str(index) for index in range(70)]
    changed = logits.clone()
    changed[:70] -= 100  # if these were fitted on, they would be seen in their own calibration
    before = calibrate.held_out(logits, labels, one_origin)[:70] - logits[:70]
    after = calibrate.held_out(changed, labels, one_origin)[:70] - changed[:70]
    scale = calibrate.fit(logits[70:], labels[70:]).scale
    assert torch.isfinite(before).all() and torch.isfinite(after).all() and scale > 0


def test_a_calibration_lies_in_the_head_at_last():
    torch.manual_seed(0)
    config = codec.encoder_config(192, 1, 6, 32, 16)
    student = Student(config, len(KINDS), -1.0, torch.zeros(48), torch.eye(48)).eval()
    hidden = torch.randn(5, 192)
    calibration = calibrate.Calibration(1.5, -0.7, torch.randn(len(FIRST)))

    def logits() -> torch.Tensor:
        with torch.no_grad():
            return student.head(hidden)[:, calibrate.columns()] * student.scale + student.bias

    wanted = calibration(logits())
    left = calibrate.fold_in(student, calibration)
    torch.testing.assert_close(logits(), wanted, rtol=0, atol=left + 1e-3)
    assert left < 0.5
