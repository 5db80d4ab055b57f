"""The processes of one fine-tuning run: started in order, replaced when they die, ended together."""

import json
import logging
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cluster.actor_pool import ActorPool
from cluster.config import FinetuneConfig
from cluster.environment import cores
from cluster.fence import fenced, warn_of
from cluster.incarnation import next_incarnation
from cluster.learners import Learners, learn
from cluster.local_ray import ProcessError, get
from cluster.parallel.check import crowded
from cluster.placement import Placement
from cluster.rundir import RunDirectory
from cluster.saving import Write
from cluster.serving import Servers, needs, put_weights, serve
from cluster.start import Start
from cluster.telling import warn
from learner.schedule import Schedule
from policy.types import Version
from replay.checkpoints import keep, put_back
from replay.errors import ReplayError
from replay.gate import Gate
from replay.interface import TableInfo
from replay.server import ReplayServer

LOG = logging.getLogger("ocelot")
ANSWER = 60.0  # seconds that the policy server may take to say that it is there
LIVES = 5  # of the learner and of the policy server, between two checkpoints
REPLAY = "replay"  # folder of the run directory, and of a checkpoint


class Processes:
    """Replay, learners, policy server and actors.

    Args:
        config: of the run.
        run: its directory.
        begin: policy and tasks.
        resume: the checkpoint of this run that it goes on from; None for a fresh run.
        before: the checkpoint that a fresh run starts from.
        update: learner updates done so far.
        cluster: Ray runs on a cluster, and not for this run on this machine alone.
        allow_open_replay: go on although anybody on a cluster's network could read and write replay.
    """

    def __init__(
        self,
        config: FinetuneConfig,
        run: RunDirectory,
        begin: Start,
        resume: Path | None,
        before: Path | None,
        update: int,
        cluster: bool = False,
        allow_open_replay: bool = False,
    ):
        self.config = config
        self.run = run
        self.begin = begin
        self._before = before
        self.learner_restarts = self.server_restarts = 0
        self._deaths = {"learner": 0, "server": 0}
        """Since the last checkpoint: a run of weeks may lose a process now and then."""
        self.replay: ReplayServer | None = None
        self.learners = Learners([])
        self.server = Servers([])
        self.pool: ActorPool | None = None
        self._gates: list[Gate] = []
        self._cluster = cluster
        if warning := crowded(config.parallel, config.run.learner_threads, cores()):
            warn(warning)
        self._placement = Placement(cluster, config.actors.cpus, config.server.replicas, config.parallel)
        try:
            self._sealed = fenced(config.replay.backend, cluster, allow_open_replay)
            self._open(resume, update)
        except BaseException:
            self.close()
            raise

    def _open(self, resume: Path | None, update: int) -> None:
        schedule = Schedule(self.config.schedule)
        folder = self.run.path / REPLAY
        if resume is None:
            shutil.rmtree(folder, ignore_errors=True)  # of an attempt that did not reach its first checkpoint
        elif (resume / REPLAY).exists():
            put_back(resume / REPLAY, folder)
        # Named anew each time: what a killed driver has left in a cluster may not be gone yet.
        name = f"{self.run.path.name} {secrets.token_hex(4)}"
        # Paced by the driver, actors and learner would wait for each other if a limiter paced them as well.
        filled = {"online"} if self.config.actors.steps is None else set()
        self.replay = ReplayServer(
            self.config.replay,
            folder,
            self.config.replay.limited(schedule.tables, filled),
            name=f"replay of {name}",
            seed=self.config.run.seed,
            sealed=self._sealed,
        )
        warn_of(self.replay.open_ports)
        self._from_afar = [self.replay.address]
        if self._cluster and self.config.replay.backend == "reverb" and self._sealed:
            for number in range(self.config.replay.gates):
                self._gates.append(Gate(f"gate {number} of {name}", self.replay.address))
            self._from_afar = [gate.address for gate in self._gates]
        self.learners = self._start_learners(resume, self._servers_need())
        self._published = Version(self.incarnation, update), put_weights(self.begin.model)
        self.server = self._serve()
        self.pool = self._start_actors()

    def restore_learner(self) -> int:
        """New learners from the newest checkpoint, in place of those of which one died. Returns their update.

        Raises:
            ProcessError: when it died too often.
        """
        self.learner_restarts += 1
        self._deaths["learner"] += 1
        if self._deaths["learner"] >= LIVES:
            raise ProcessError(
                f"the learner died {self._deaths['learner']} times without a checkpoint between; if it was killed, the "
                "machine may be out of memory: a smaller policy or batch. The same command goes on from the last "
                "checkpoint"
            )
        LOG.warning("the learner died; a new one goes on from the last checkpoint")
        self.learners.kill()
        self.learners = self._start_learners(self.run.latest_checkpoint())
        version = self.learners.version()
        self.publish(version)
        return version.update

    def server_alive(self) -> bool:
        """Whether the policy servers' processes are there and answer."""
        import ray

        try:
            get(self.server.stats(), timeout=ANSWER)
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
            return False
        return True

    def restore_server(self) -> None:
        """A new policy server with the weights last published, and actors that ask it.

        Raises:
            ProcessError: when it died too often.
        """
        self.server_restarts += 1
        self._deaths["server"] += 1
        if self._deaths["server"] >= LIVES:
            raise ProcessError(
                f"the policy server died {self._deaths['server']} times without a checkpoint between; if it was "
                "killed, the machine may be out of memory: fewer environments, or a smaller policy. The same command "
                "goes on from the last checkpoint"
            )
        LOG.warning("the policy server died; a new one takes its place")
        self.server.kill()
        self.server = self._serve()
        assert self.pool is not None
        self.pool.move(self.server)
        LOG.info("the policy server is back")

    def publish(self, version: Version) -> list[Any]:
        """Sends the learners' weights to the policy servers, through Ray's store; returns the calls to wait for.

        Args:
            version: of the learners after all calls that were made to them.
        """
        self._published = version, self.learners.weights()
        return self.server.publish(*self._published)

    def copy(self, extra: dict[str, Any]) -> Write:
        """Copies the learners' state; returns what writes a checkpoint's files, beside updates.

        The store is written as it is when that begins, so it belongs to the copy if that is at once.
        """
        self.learners.copy(extra)
        return lambda folder: self._write(folder, extra)

    def _write(self, folder: Path, extra: dict[str, Any]) -> None:
        """Writes a checkpoint's files, and which replay checkpoint belongs to it."""
        assert self.replay is not None
        calls = self.learners.write(folder)
        name: str | None = None
        try:
            name = str(keep(Path(self.replay.checkpoint()), folder / REPLAY).relative_to(folder))
        except ReplayError as error:
            LOG.warning("no replay checkpoint beside %s: %s", folder.name, error)
        finally:
            self.learners.answers(calls)  # nobody writes into a folder that is given up
        manifest = {"updates": extra["updates"], "env_steps": extra["env_steps"], "replay_checkpoint": name}
        (folder / "replay.json").write_text(json.dumps(manifest, indent=1) + "\n")
        self._deaths = dict.fromkeys(self._deaths, 0)

    def tables(self) -> dict[str, TableInfo]:
        """State of replay; empty while its server is away, which only who samples or writes has to wait for."""
        try:
            return self.learners.tables()
        except ReplayError as error:
            LOG.warning("no figures of replay: %s", error)
            return {}

    def faults(self) -> dict[str, float]:
        """Scalars of what went wrong and was put right."""
        assert self.replay is not None
        assert self.pool is not None
        return {
            "faults/actor_restarts": self.pool.restarts,
            "faults/environments": self.pool.faults(),
            "faults/learner_restarts": self.learner_restarts,
            "faults/replay_restarts": self.replay.check(),
            "faults/server_restarts": self.server_restarts,
        }

    def close(self) -> None:
        """Ends everything."""
        if self.pool is not None:
            self.pool.stop()
        self.learners.kill()
        self.server.kill()
        for gate in self._gates:
            gate.stop()
        if self.replay is not None:
            self.replay.stop()
        self._placement.release()

    def _start_learners(self, resume: Path | None, beside: Mapping[str, int] | None = None) -> Learners:
        """Learners, which plan for what will come to lie beside them."""
        assert self.replay is not None
        self.incarnation = next_incarnation(self.run.path)
        where = self._placement.central("learner")
        return learn(
            self.begin, self.config, self.replay.address, self.incarnation, resume, self._before, where, beside
        )

    def _slots(self) -> int:
        """Of each policy server."""
        acting, settings = self.config.actors, self.config.server
        return settings.slots or -(-acting.processes // settings.replicas) * acting.environments

    def _servers_need(self) -> dict[str, int]:
        """Memory that policy servers will take of the learners' device."""
        settings = self.config.server
        if not self._placement.together:
            return {}
        return needs(self.begin.model, self._slots(), settings.dtype, settings.on_new_weights, settings.replicas)

    def _serve(self) -> Servers:
        settings = self.config.server
        version, weights = self._published
        return Servers(
            [
                serve(
                    self.begin.model.config,
                    weights,
                    version,
                    self._slots(),
                    threads=settings.threads,
                    dtype=settings.dtype,
                    seed=_seed(self.config.run.seed, 1, self.incarnation, replica),
                    window_ms=settings.batch_window_ms,
                    place=self._placement.central("server"),
                    on_new_weights=settings.on_new_weights,
                    rebuild_share=settings.rebuild_share,
                )
                for replica in range(settings.replicas)
            ]
        )

    def _start_actors(self) -> ActorPool:
        assert self.replay is not None
        return ActorPool(
            self.config,
            self.begin.layouts,
            self.begin.model.config.context,
            self.server,
            self._from_afar,
            _seed(self.config.run.seed, 2, self.incarnation),
            self._placement,
        )


def _seed(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
