from dataclasses import replace

import pytest
import yaml

from cluster.config import FinetuneConfig, PretrainConfig
from cluster.config_files import ConfigError, difference, dump, flatten, load, merge, parse_override
from cluster.config_help import describe_config
from replay.tables import TABLES

MINIMAL = """
run: {name: test, updates: 10}
tasks: [{name: gym/CartPole-v1}]
checkpoint: runs/pretrained
learner: {learning_rate: 1e-4}
schedule:
  - {objective: awr, data: {expert: 0.5, online: 0.5}, settings: {temperature: 2}}
  - {objective: bc}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "finetune.yaml"
    path.write_text(MINIMAL)
    return path


def test_dumped_configuration_is_complete_and_loads_to_the_same(file, tmp_path):
    config = load(FinetuneConfig, [file], ["run.seed=3", "replay.max_policy_lag=7"])
    assert config.run.seed == 3
    assert config.replay.max_policy_lag == 7
    assert config.learner.learning_rate == 1e-4  # YAML 1.1 reads 1e-4 as text
    text = dump(config)
    again = tmp_path / "again.yaml"
    again.write_text(text)
    assert load(FinetuneConfig, [again]) == config
    assert dump(load(FinetuneConfig, [again])) == text
    first = yaml.safe_load(text)["schedule"][0]
    assert first["settings"]["temperature"] == 2.0
    assert "limit" in first["settings"], "defaults of the objective are written out"


@pytest.mark.parametrize(
    ("override", "where", "near"),
    [
        ("learner.learning_rat=1", "learner.learning_rat", "'learning_rate'"),
        ("actors.temprature=1", "actors.temprature", "'temperature'"),
        ("replay.tables.online.max_siz=9", "replay.tables.online.max_siz", "'max_size'"),
        ("tasks.0.wight=2", "tasks.0.wight", "'weight'"),
        ("schedule.0.objectiv=bc", "schedule.0.objectiv", "'objective'"),
        ("schedule.0.settings.temperatur=1", "schedule", "'temperature'"),
        ("lerner.clip=1", "lerner", "'learner'"),
    ],
)
def test_unknown_key_names_file_path_and_nearest(file, override, where, near):
    with pytest.raises(ConfigError) as error:
        load(FinetuneConfig, [file], [override])
    assert str(file) in str(error.value)
    assert where in str(error.value)
    assert near in str(error.value)


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("run.updates=many", "run.updates"),
        ("run.updates=0", "run.updates"),
        ("server.dtype=float16", "server.dtype"),
        ("learner.betas=[0.9]", "learner.betas"),
        ("schedule.0.settings.temperature=hot", "schedule.0"),
        ("tasks=[]", "tasks"),
        ("policy={}", "checkpoint"),
        ("learner.publish=newest", "learner"),
    ],
)
def test_wrong_values_are_named_with_their_path(file, override, where):
    with pytest.raises(ConfigError, match=where):
        load(FinetuneConfig, [file], [override])


def test_a_tables_settings_change_its_own_defaults(file):
    tables = load(FinetuneConfig, [file], ["replay.tables.online.max_size=300"]).replay.tables
    assert tables["online"] == replace(TABLES["online"], max_size=300)
    assert tables["expert"] == TABLES["expert"]


def test_missing_value_is_named(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("tasks: [{name: gym/CartPole-v1}]")
    with pytest.raises(ConfigError, match="run: missing"):
        load(PretrainConfig, [path])


def test_later_files_change_earlier_ones(file, tmp_path):
    arm = tmp_path / "arm.yaml"
    arm.write_text("schedule: [{objective: bc}]\nrun: {arm: cloning}")
    config = load(FinetuneConfig, [file, arm])
    assert [entry.objective for entry in config.schedule] == ["bc"]
    assert (config.run.arm, config.run.name) == ("cloning", "test")


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "just text"])
def test_files_that_are_no_configuration(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load(FinetuneConfig, [path])
    with pytest.raises(ConfigError, match="no such file"):
        load(FinetuneConfig, [tmp_path / "missing.yaml"])


def test_overrides_are_yaml():
    assert parse_override("a.b=[1, null]") == {"a": {"b": [1, None]}}
    assert merge({"a": [{"b": 1}, {"b": 2}]}, {"a": {"1": {"b": 3}}}) == {"a": [{"b": 1}, {"b": 3}]}
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        parse_override("a.b")


def test_flatten_and_difference():
    assert flatten({"a": {"b": [1, {"c": None}]}, "d": True}) == {"a.b.0": 1, "a.b.1.c": "null", "d": True}
    assert difference({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2}) == ["a.b: 1, now 3"]
    assert difference({}, {"x": [1]}) == ["x.0: not set, now 1"]


def described(schema):
    for name, part in schema.get("properties", {}).items():
        yield schema["title"], name, part.get("description") or ("$ref" in part)
    for below in schema.get("$defs", {}).values():
        yield from described(below)


@pytest.mark.parametrize("model", [FinetuneConfig, PretrainConfig])
def test_every_setting_has_a_description(model):
    assert [(section, name) for section, name, text in described(model.model_json_schema()) if not text] == []
    text = describe_config(model)
    assert all(line.rsplit("# ", 1)[1] for line in text.splitlines())
    assert "learning_rate: float = 0.0003  # Peak step size of AdamW." in text
