import numpy as np
import pytest
from safetensors.numpy import save_file

from pe_audio_cli.errors import CheckpointError
from pe_audio_cli.models.unfamiliar import UnfamiliarLabels

DOG, RAIN = np.eye(2, 8, dtype=np.float32)
FAMILIAR = UnfamiliarLabels(weight=10 * np.stack([DOG, RAIN]), bias=np.array([-5, -5], np.float32), threshold=0.0)


def test_labels_like_none_of_the_concepts_are_unfamiliar_whatever_their_length():
    embeddings = np.stack([DOG, 0.01 * RAIN, DOG + 0.3 * RAIN, np.eye(8, dtype=np.float32)[5], -DOG])
    unfamiliar = FAMILIAR.detect(["dog", "rain", "a wet dog", "sonar", "the opposite of a dog"], embeddings)
    assert unfamiliar == ["sonar", "the opposite of a dog"]


def test_a_saved_file_is_opened(tmp_path):
    FAMILIAR.save(tmp_path)
    again = UnfamiliarLabels.open(tmp_path)
    assert again is not None and again.threshold == FAMILIAR.threshold
    np.testing.assert_array_equal(again.weight, FAMILIAR.weight)
    np.testing.assert_array_equal(again.bias, FAMILIAR.bias)


def test_a_checkpoint_need_not_have_the_file(tmp_path):
    assert UnfamiliarLabels.open(tmp_path) is None


@pytest.mark.parametrize("metadata", [None, {"made_by": "somebody"}], ids=["no metadata", "others"])
def test_a_file_without_a_threshold_is_refused_in_plain_words(tmp_path, metadata):
    save_file({"weight": FAMILIAR.weight, "bias": FAMILIAR.bias}, tmp_path / "familiar.safetensors", metadata)
    with pytest.raises(CheckpointError, match=r"is damaged \(it has no threshold\)"):
        UnfamiliarLabels.open(tmp_path)
