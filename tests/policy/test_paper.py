"""The paper's token ids, its check values, and the faults that public re-implementations have (arXiv 2205.06175)."""

import numpy as np
import pytest
import torch

from policy import continuous
from policy.engine import Engine
from policy.images import ImageShape
from policy.layout import Layout
from policy.patches import PatchEmbedding
from policy.text import TextTokenizer
from policy.vocabulary import DEFAULT, PAPER
from tests.policy.small import policy, request


def box(shape, low=-1.0, high=1.0, dtype="float32"):
    return {"kind": "box", "shape": list(shape), "low": [low], "high": [high], "dtype": dtype}


def test_the_paper_layout_gives_the_papers_ids():
    space = {
        "kind": "dict",
        "spaces": {
            "buttons": {"kind": "multi_discrete", "nvec": [[1024, 3], [4, 5]]},
            "camera": box([32, 16, 3], 0.0, 255.0, "uint8"),
            "instruction": {"kind": "text", "max_length": 30},
            "position": box([3], -np.inf, np.inf),
        },
    }
    text = TextTokenizer.default()
    layout = Layout("paper/all", space, box([2]), vocabulary=PAPER, text=text, text_tokens=6)
    observation = {
        "buttons": np.array([[[1023, 2], [0, 4]]]),
        "camera": np.zeros((1, 32, 16, 3), dtype=np.uint8),
        "instruction": ["open the door"],
        "position": np.array([[0.0, -1e9, 10.0]]),
    }
    words = text.encode("open the door")
    tokens = layout.encode_observation(observation)[0]
    assert tokens[: len(words)].tolist() == words  # text first: SentencePiece's own ids, [0, 32000)
    assert max(words) < 32000
    assert tokens[6:8].tolist() == [PAPER.patch] * 2  # then images, in raster order
    assert tokens[8:12].tolist() == [1023, 2, 0, 4]  # then tensors by key, row-major: integers as they are, [0, 1024)
    assert tokens[12:].tolist() == [32512, 32000, 32000 + int((0.6806 + 1) / 2 * 1024)]  # companded, [32000, 33024)
    action = layout.encode_action(np.array([[-1.0, 1.0]]))[0]
    assert action.tolist() == [32000, 33023]  # not companded: already in [-1, 1]
    assert layout.legal.tolist() == [[32000, 33024]] * 2
    assert Layout("paper/buttons", space, {"kind": "discrete", "n": 18, "start": 0}, vocabulary=PAPER, text=text).legal[
        0
    ].tolist() == [0, 18]


def test_atari_at_64_by_80_has_22_tokens_a_step():
    layout = Layout("paper/atari", box([64, 80, 3], 0.0, 255.0, "uint8"), {"kind": "discrete", "n": 18, "start": 0})
    assert (layout.step_tokens, 1024 // layout.step_tokens) == (22, 46)


@pytest.mark.parametrize(
    ("x", "f"), [(0.01, 0.0683), (0.1, 0.2362), (1.0, 0.4547), (10.0, 0.6806), (100.0, 0.9074), (256.0, 1.0)]
)
def test_mu_law_has_the_papers_values(x, f):
    assert continuous.mu_law(np.array([x, -x])) == pytest.approx([f, -f], abs=1e-4)


def test_fault_one_does_not_spill_into_the_next_range():
    layout = Layout("paper/box", box([1]), box([1]))
    for tokens in (layout.encode_observation(np.array([[1.0]])), layout.encode_action(np.array([[1.0]]))):
        assert tokens[0, 0] == DEFAULT.continuous.stop - 1


def test_fault_values_beyond_256_do_not_overflow():
    layout = Layout("paper/box", box([1], -np.inf, np.inf), box([1]))
    tokens = layout.encode_observation(np.array([[257.0], [-1e30], [1e30]]))[:, 0]
    assert tokens.tolist() == [33023, 32000, 33023]


def test_fault_decoding_takes_the_centre_of_a_bin():
    layout = Layout("paper/box", box([1]), box([1]))
    middle = layout.decode_action(np.arange(32000, 33024)[:, None])[:, 0]
    assert middle == pytest.approx((2 * np.arange(1024) + 1) / 1024 - 1)
    values = np.linspace(-1, 1, 100_001)[:, None]
    error = layout.decode_action(layout.encode_action(values)) - values
    assert abs(error.mean()) < 1e-6  # a left edge would be off by 1/1024 on average


def test_fault_pixels_are_divided_by_four():
    module, seen = PatchEmbedding(8, 32).double().eval(), []  # PyTorch's kernels, which ours are held against
    module.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    module(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 16, 16, 3), torch.zeros(2, 2, 2).long())
    assert seen[0][0].unique().tolist() == [-0.25]
    assert seen[0][1].unique().tolist() == [0.25]


def test_fault_the_last_patch_stays_within_the_table():
    module = PatchEmbedding(8, 32).train()
    intervals = torch.from_numpy(ImageShape(1, 16, 16, 3).intervals.astype(np.int64))  # one patch: all of the image
    drawn = torch.cat([module.places(intervals) for _ in range(3000)])
    assert (int(drawn.min()), int(drawn.max())) == (0, 127)
    module(torch.zeros(1, 16, 16, 3, dtype=torch.uint8), intervals)


def test_fault_actions_come_from_the_legal_ids_alone():
    model = policy()
    with torch.no_grad():
        model.embedding.table.weight[2000:] += 50.0  # whatever the policy would rather say
    legal = np.array([[33030, 33033], [32000, 32002]], dtype=np.int32)
    reply = Engine(model, 300).act([request(np.random.default_rng(0), slots=300, reset=True, legal=legal)])[0]
    assert set(reply.tokens[:, 0]) == {33030, 33031, 33032}
    assert set(reply.tokens[:, 1]) <= {32000, 32001}
