"""The sizes in examples/sizes are those of the paper's table, and are counted by part without being made."""

import json

import pytest
from typer.testing import CliRunner

from cluster.cli import app
from cluster.config_files import ConfigError
from cluster.sizes import EXAMPLES, count
from policy.config import PolicyConfig
from policy.model import Policy

BLOCKS = {"79m": (8, 768, 3072), "364m": (12, 1536, 6144), "1180m": (24, 2048, 8192)}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_have_the_papers_shape(name):
    layers, width, feedforward = BLOCKS[name]
    matrices = layers * (4 * width**2 + 2 * width * feedforward)
    vectors = layers * (4 * width + feedforward + width + 4 * width) + 2 * width  # biases and norms
    assert count(EXAMPLES / f"{name}.yaml")["transformer"] == matrices + vectors


def test_counts_are_those_of_the_policy_itself():
    fields = {"layers": 2, "width": 64, "heads": 4, "feedforward": 96, "context": 64}
    for switches in ({}, {"tied": False, "activation": "geglu", "positions": "learned", "value_features": False}):
        model = Policy(PolicyConfig(**fields, **switches))
        counts = model.parameter_counts()
        assert sum(counts.values()) == sum(parameter.numel() for parameter in model.parameters())
        assert ("output ids" in counts) == ("tied" in switches)


def test_the_command_prints_every_size_and_writes_it(tmp_path):
    result = CliRunner().invoke(app, ["sizes", "--json", str(tmp_path / "sizes.json")])
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "sizes.json").read_text())
    assert list(written) == ["tiny", "small", "79m", "364m", "1180m"]
    for name, parts in written.items():
        assert parts["all"] == sum(number for part, number in parts.items() if part != "all")
        assert f"{parts['all']:,}" in result.output, name
    assert PolicyConfig() == PolicyConfig(layers=4, width=128, heads=4, feedforward=512, context=256)  # tiny


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("tasks: []", "with a section `policy`"),
        ("policy: [", "with a section `policy`"),
        ("policy: {width: 30, heads: 4}", "even key size"),
        ("policy: {wdith: 32}", "wdith"),
    ],
)
def test_files_that_describe_no_policy_are_refused(tmp_path, content, message):
    (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        count(tmp_path / "own.yaml")
    with pytest.raises(ConfigError, match="No such file"):
        count(tmp_path / "none.yaml")
