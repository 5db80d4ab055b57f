"""Typed configuration of `ocelot pretrain` and `ocelot finetune`: every field is described, unknown ones are refused.

Each section is what one process reads. Files, overrides and messages are in config_files.py.
"""

from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from learner.config import LearnerConfig, ParallelConfig
from learner.schedule import Entry
from policy.config import PolicyConfig
from replay.tables import TABLES, ReplayConfig

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]


def _with_all_settings(entry: Entry) -> Entry:
    """The entry with its objective's settings typed and complete, so that a dumped configuration depends on nothing."""
    try:
        settings: Any = TypeAdapter(entry.kind.settings).validate_python(entry.settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(f"settings.{key} of {entry.objective}: {first['msg']}, got {first['input']!r}") from None
    return replace(entry, settings=asdict(settings))


ScheduleConfig = Annotated[list[Annotated[Entry, AfterValidator(_with_all_settings)]], Field(min_length=1)]


def _with_table_defaults(replay: Any) -> Any:
    """Settings of a table change its own defaults, which are not those of any table."""
    if not isinstance(replay, dict) or not isinstance(replay.get("tables"), dict):
        return replay
    tables = {
        name: asdict(TABLES[name]) | table if name in TABLES and isinstance(table, dict) else table
        for name, table in replay["tables"].items()
    }
    return replay | {"tables": tables}


class Section(BaseModel):
    """Settings that refuse unknown keys and carry a description for each known one."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, frozen=True)


class TaskConfig(Section):
    """One task of a run."""

    name: str
    """The task: gym/CartPole-v1, control/cartpole-swingup, gym/my_package:MyEnv-v0, ..."""
    datasets: list[str] = []
    """Minari datasets of its demonstrations, by id (`ocelot experts collect` prints it)."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its share of the training windows, and of the actors, relative to the other tasks."""
    discount: Annotated[float, Field(gt=0, le=1)] = 0.99
    """Discount of its returns."""
    online: bool = True
    """Fine-tuning plays it; false: it gets no actors, and is only cloned from its demonstrations."""
    returns: tuple[float, float] | None = None
    """Returns-to-go of the first and the last return token; null: the checkpoint's, or quantiles of the data."""
    text_tokens: Positive = 32
    """Room for each text of an observation, in tokens; shorter ones are padded, longer ones refused."""
    image_size: tuple[Positive, Positive] | None = None
    """Height and width, multiples of 16, to which its images are resized; null pads them to the next multiples."""


class RunConfig(Section):
    """What a run is called, how long it is and what it leaves behind."""

    name: str
    """Name of the run; its directory is FOLDER/NAME."""
    folder: str = "runs"
    """Where run directories are."""
    arm: str | None = None
    """Under which name `ocelot compare` shows this run; null: the run's name."""
    seed: int = 0
    """Seed of everything random."""
    updates: Positive
    """Learner updates in all."""
    checkpoint_every: Positive = 1000
    """Updates between two checkpoints; the last update is always followed by one."""
    keep_checkpoints: Positive = 3
    """So many checkpoints are kept; older ones are deleted."""
    log_every: Positive = 10
    """Updates between two points in TensorBoard."""
    learner_threads: Positive = 1
    """CPU threads of the learner."""


class EvaluationConfig(Section):
    """Evaluations while a run goes on and at its end."""

    every: NotNegative = 0
    """Updates between two evaluations, the first before any update (online); 0: only after the last update."""
    episodes: NotNegative = 20
    """Episodes a task and temperature; 0: no evaluations."""
    temperatures: list[Annotated[float, Field(ge=0)]] = [0.0, 1.0]
    """Of action sampling, one evaluation for each; 0 is greedy."""
    seed: int = 10_000
    """Seed of the environments, other than the actors' own, so that arms are evaluated on the same episodes."""
    clips: bool = True
    """Show a short clip of each task in TensorBoard: an episode more at the first temperature, drawn if it can be."""


class ActorsConfig(Section):
    """The processes that step environments."""

    steps: Positive | None = 200_000
    """Environment steps in all, spread evenly over the updates; null: samples_per_insert of replay paces."""
    lead: Positive = 20
    """So many updates' worth of steps the actors may be ahead of the learner."""
    processes: Positive = 2
    """Actor processes; on a cluster without room for all of them, as many as have a CPU, and more when nodes join."""
    min_processes: Positive = 1
    """Updates wait while fewer actor processes run."""
    cpus: Annotated[float, Field(gt=0)] = 1.0
    """CPUs that each actor process claims on a cluster; one machine's own cores are not counted."""
    silent: Annotated[float, Field(gt=0)] = 30.0
    """Seconds without an answer after which an actor process counts as frozen or cut off, and is replaced."""
    environments: Positive = 16
    """Environments in each process; one half steps while the other waits for actions."""
    episode_limit: Positive = 1000
    """Steps after which an episode that goes on is written in pieces, each up to a slide of its context. Objectives
    that bootstrap learn from them early; those that ask for an episode's return (return_conditioned, bc with best)
    never."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Of action sampling while exploring; 0 is greedy."""
    with_return: bool = False
    """Act with return tokens; the schedule must then train `return_conditioned`."""
    return_kappa: Annotated[float, Field(ge=0)] = 10.0
    """How strongly sampled return tokens lean towards high returns (with_return only)."""
    prompts: bool = False
    """Begin every episode behind a prompt: part of a demonstration of its task (half of them its end)."""

    @model_validator(mode="after")
    def _prompt_or_return(self) -> "ActorsConfig":
        if self.prompts and self.with_return:
            raise ValueError("prompts and with_return exclude each other: prompts hold no return tokens")
        return self


class ServerConfig(Section):
    """The policy server, which runs the policy for all actors."""

    slots: Positive | None = None
    """Environments that can act at once; null: as many as actors and evaluation need."""
    threads: Positive = 1
    """CPU threads of the server."""
    dtype: Literal["auto", "float32", "bfloat16"] = "float32"
    """Number format of the published weights and the KV cache; auto: the faster one, by a short measurement."""
    batch_window_ms: Annotated[float, Field(gt=0)] = 5.0
    """A batch starts when a third of the slots wait and no more are about to come, or after so many milliseconds."""
    publish_every: Positive = 10
    """Updates between two publications of the learner's weights."""
    on_new_weights: Literal["rebuild", "keep"] = "rebuild"
    """rebuild: every cache is of one version, contexts are prefilled anew in turn; keep: until they slide."""
    rebuild_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the server's time that rebuilding may take; 1: all contexts are rebuilt when they act next."""
    replicas: Positive = 1
    """Policy servers; the actors are spread over them."""


class TextsConfig(Section):
    """A folder of text files that pretraining reads."""

    name: str
    """Its name; as a task it is text/NAME."""
    folder: str
    """Holds UTF-8 files *.txt, in folders within it too."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its share of the training windows, relative to the tasks."""


class CaptionsConfig(Section):
    """A folder of images with captions, or with questions and answers, that pretraining reads."""

    name: str
    """Its name; as a task it is captions/NAME."""
    folder: str
    """Holds images, and files *.jsonl of lines with an image and its caption, or a question and its answer."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its share of the training windows, relative to the tasks."""
    image_size: tuple[Positive, Positive] = (64, 64)
    """Height and width, multiples of 16, to which the images are resized."""


class PromptsConfig(Section):
    """Prompts: steps of another demonstration of the task, put in front of a training window."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the windows of demonstrations that get a prompt, half of them an episode's end (Gato: 0.25)."""
    steps: Positive | None = None
    """Timesteps of a prompt at most; null: half of what the context holds."""


class PretrainConfig(Section):
    """Offline training of a fresh policy from demonstrations (`ocelot pretrain`)."""

    run: RunConfig
    """The run."""
    tasks: Annotated[list[TaskConfig], Field(min_length=1)]
    """The tasks and their demonstrations."""
    texts: list[TextsConfig] = []
    """Folders of text files, which are trained on too."""
    captions: list[CaptionsConfig] = []
    """Folders of images with texts, which are trained on too."""
    domain_weights: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Share of each domain among the windows, which its tasks divide by their weights; {}: tasks' own weights alone."""
    policy: PolicyConfig = PolicyConfig()
    """Sizes of the policy."""
    text: str | None = None
    """A SentencePiece model for tasks with text; null: the small one that ships."""
    learner: LearnerConfig = LearnerConfig()
    """The optimiser and what the objectives need."""
    schedule: ScheduleConfig = [_with_all_settings(Entry("bc"))]
    """Which updates, in which order, on which data."""
    prompts: PromptsConfig = PromptsConfig()
    """Prompts in training."""
    parallel: ParallelConfig = ParallelConfig()
    """Training by several processes."""
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each task's episodes that is not trained on, but gives losses/held_out."""
    patience: Positive | None = None
    """Stop when losses/held_out has been no lower for so many updates, and end with the weights where it was least;
    null: all updates, and the last weights."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Evaluations."""
    server: ServerConfig = ServerConfig()
    """The policy server of the evaluations."""

    @model_validator(mode="after")
    def _patience_needs_a_loss(self) -> "PretrainConfig":
        if self.patience is not None and self.held_out == 0.0:
            raise ValueError("patience needs held_out above 0: it waits for the held-out loss to fall")
        return self


class FinetuneConfig(Section):
    """Online training with actors, policy server, replay and learner (`ocelot finetune`)."""

    run: RunConfig
    """The run."""
    tasks: Annotated[list[TaskConfig], Field(min_length=1)]
    """The tasks; their demonstrations fill the table `expert`."""
    checkpoint: str | None = None
    """Where to start: a checkpoint, or a run directory (its latest one); null: fresh weights, sizes in `policy`."""
    policy: PolicyConfig | None = None
    """Sizes of a fresh policy; null with a checkpoint, which brings its own."""
    text: str | None = None
    """A SentencePiece model for tasks with text, with fresh weights only; null: the small one that ships."""
    learner: LearnerConfig = LearnerConfig()
    """The optimiser and what the objectives need."""
    schedule: ScheduleConfig = [_with_all_settings(Entry("bc"))]
    """Which updates, in which order, on which data."""
    prompts: PromptsConfig = PromptsConfig()
    """Prompts in training."""
    parallel: ParallelConfig = ParallelConfig()
    """Several learners."""
    replay: Annotated[ReplayConfig, BeforeValidator(_with_table_defaults)] = ReplayConfig()
    """Tables and their server."""
    actors: ActorsConfig = ActorsConfig()
    """The processes that step environments."""
    server: ServerConfig = ServerConfig()
    """The policy server."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Evaluations."""

    @model_validator(mode="after")
    def _one_start(self) -> "FinetuneConfig":
        if (self.checkpoint is None) == (self.policy is None):
            raise ValueError("give either checkpoint (where to start) or policy (sizes of a fresh one)")
        without = [task.name for task in self.tasks if self.actors.prompts and not task.datasets]
        if without:
            raise ValueError(f"actors.prompts needs demonstrations of every task, and {without[0]} names no datasets")
        return self
