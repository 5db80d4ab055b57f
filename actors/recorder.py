"""What an actor saw and did, step by step, into the windows that replay stores."""

from collections.abc import Sequence

import numpy as np

from policy.images import PATCH
from policy.layout import Layout
from policy.returns import returns_to_go
from policy.types import ActReply
from replay.prompts import NO_PROMPT, Prompt
from replay.trajectory import ONLINE, Trajectory, cut

EPISODE_LIMIT = 1000
EPISODE_BITS = 32  # of an episode's number; the run id stands above them


class Recorder:
    """Collects the episodes of an actor's slots. Each step: `acted`, then `stepped`.

    An episode is written when it ends, so its returns are known. One that grows past `episode_limit` steps is written
    in pieces, each up to a slide of its context, whose returns stay unknown (NaN).

    Args:
        layout: of the task.
        actor: number of the actor.
        slots: environments.
        context: tokens that the policy sees at once.
        temperature: of action sampling.
        run_id: in [0, 2**31), drawn anew when an actor starts, so that no two episodes of an actor share a number.
        episode_limit: steps.
    """

    def __init__(
        self,
        layout: Layout,
        actor: int,
        slots: int,
        context: int,
        temperature: float,
        run_id: int,
        episode_limit: int = EPISODE_LIMIT,
    ):
        self.layout = layout
        self.actor = actor
        self.context = context
        self.temperature = temperature
        self.episode_limit = episode_limit
        self._episodes = run_id << EPISODE_BITS
        self._episode = np.empty(slots, dtype=np.int64)
        for slot in range(slots):
            self._episode[slot] = self._next_episode()
        self._first = np.zeros(slots, dtype=np.int64)  # step of the episode that stands at index 0
        self._burn_in = np.zeros(slots, dtype=np.int64)  # steps at the front that were written already
        self._length = np.zeros(slots, dtype=np.int64)  # steps held
        room = 64
        acting = layout.action_tokens
        self._tokens = np.zeros((slots, room, layout.step_tokens), dtype=np.int32)
        self._tokens[:, :, layout.observation_tokens] = layout.vocabulary.separator
        self._log_probs = np.zeros((slots, room, acting), dtype=np.float32)
        self._versions = np.zeros((slots, room, 2), dtype=np.int32)
        self._context_start = np.zeros((slots, room), dtype=np.int32)
        self._return_tokens = np.zeros((slots, room), dtype=np.int32)
        self._patches = np.zeros((slots, room, layout.patches, PATCH, PATCH, 3), dtype=np.uint8)
        self._prompts: list[Prompt] = [NO_PROMPT] * slots
        self._rewards = np.zeros((slots, room), dtype=np.float32)

    def begin(self, slots: np.ndarray, prompts: Sequence[Prompt]) -> None:
        """Notes the prompts of episodes that begin; to be called before `acted`, where there are any.

        Args:
            slots: int [n].
            prompts: n of them; they hold until the episode ends.
        """
        for slot, prompt in zip(slots, prompts, strict=True):
            self._prompts[slot] = prompt

    def acted(
        self, slots: np.ndarray, observation: np.ndarray, reply: ActReply, patches: np.ndarray | None = None
    ) -> list[Trajectory]:
        """Notes the actions of a reply, and what they were an answer to.

        Args:
            slots: int [n].
            observation: int32 [n, observation_tokens].
            reply: n rows.
            patches: uint8 [n, patches, 16, 16, 3]; None where the task has no images.

        Returns:
            Windows of episodes that have grown past the limit; mostly none.
        """
        windows = []
        for row, slot in enumerate(slots):
            if self._length[slot] >= self.episode_limit and self._slid(slot, reply.context_start[row]):
                following = None if patches is None else patches[row]
                windows += self._piece(slot, observation[row], following, int(reply.context_start[row]))
        at = self._length[slots]
        if at.max() >= self._rewards.shape[1]:
            self._grow()
        observed = self.layout.observation_tokens
        self._tokens[slots, at, :observed] = observation
        self._tokens[slots, at, observed + 1 :] = reply.tokens
        self._log_probs[slots, at] = reply.log_probs
        self._versions[slots, at] = reply.versions
        self._context_start[slots, at] = reply.context_start
        self._return_tokens[slots, at] = reply.return_tokens
        if patches is not None:
            self._patches[slots, at] = patches
        return windows

    def stepped(
        self,
        slots: np.ndarray,
        rewards: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        faulted: np.ndarray,
        final: np.ndarray,
        final_patches: np.ndarray | None = None,
    ) -> list[Trajectory]:
        """Notes what the actions led to.

        Args:
            slots: int [n], the same as in `acted`.
            rewards: float32 [n].
            terminated, truncated: bool [n].
            faulted: bool [n]: the episode was cut off, its last step is forgotten.
            final: int32 [n, observation_tokens]: what followed the step; read where an episode ended.
            final_patches: uint8 [n, patches, 16, 16, 3]: its images; None where the task has none.

        Returns:
            Windows of the episodes that ended.
        """
        self._rewards[slots, self._length[slots]] = rewards
        self._length[slots] += ~faulted
        windows = []
        for row in np.flatnonzero(terminated | truncated | faulted):
            slot = slots[row]
            if faulted[row]:
                # The observation that the forgotten step acted on is what follows the last good one.
                acted_on = self._tokens[slot, self._length[slot], : self.layout.observation_tokens]
                windows += self._end(slot, acted_on, self._patches[slot, self._length[slot]], False, False)
            else:
                following = None if final_patches is None else final_patches[row]
                windows += self._end(slot, final[row], following, bool(terminated[row]), bool(truncated[row]))
        return windows

    def abandoned(
        self, slots: np.ndarray, observation: np.ndarray, patches: np.ndarray | None = None
    ) -> list[Trajectory]:
        """Ends episodes that will not go on; their returns stay unknown.

        Args:
            slots: int [n], between `stepped` and `acted`.
            observation: int32 [n, observation_tokens]: what would have been acted on next.
            patches: uint8 [n, patches, 16, 16, 3]: its images; None where the task has none.

        Returns:
            Their windows.
        """
        return [
            window
            for row, slot in enumerate(slots)
            for window in self._end(slot, observation[row], None if patches is None else patches[row], False, False)
        ]

    def _end(
        self, slot: int, observation: np.ndarray, patches: np.ndarray | None, terminated: bool, truncated: bool
    ) -> list[Trajectory]:
        windows = self._windows(slot, observation, patches, terminated, truncated)
        self._episode[slot] = self._next_episode()
        self._prompts[slot] = NO_PROMPT
        self._first[slot] = self._burn_in[slot] = self._length[slot] = 0
        return windows

    def _next_episode(self) -> int:
        self._episodes += 1
        return self._episodes

    def _slid(self, slot: int, context_start: int) -> bool:
        return bool(context_start != self._context_start[slot, self._length[slot] - 1])

    def _piece(
        self, slot: int, observation: np.ndarray, patches: np.ndarray | None, context_start: int
    ) -> list[Trajectory]:
        """Writes what is held, and keeps the steps that the new context still sees as burn-in."""
        windows = self._windows(slot, observation, patches, False, False)
        length = self._length[slot]
        kept = int(self._first[slot] + length - context_start)
        for part in self._per_step():
            part[slot, :kept] = part[slot, length - kept : length].copy()
        self._first[slot] = context_start
        self._burn_in[slot] = self._length[slot] = kept
        return windows

    def _windows(
        self, slot: int, observation: np.ndarray, patches: np.ndarray | None, terminated: bool, truncated: bool
    ) -> list[Trajectory]:
        """The held steps of a slot as windows; `observation` int32 [observation_tokens] and its patches follow them."""
        length = self._length[slot]
        if length <= self._burn_in[slot]:
            return []
        rewards = self._rewards[slot, :length]
        if terminated or truncated:
            to_go = returns_to_go(rewards).astype(np.float32)
        else:
            to_go = np.full(length, np.nan, dtype=np.float32)
        record = Trajectory(
            task=self.layout.task,
            source=ONLINE,
            actor=self.actor,
            episode=int(self._episode[slot]),
            first_step=int(self._first[slot]),
            burn_in=int(self._burn_in[slot]),
            tokens=self._tokens[slot, :length],
            tail=np.append(observation, self.layout.vocabulary.separator).astype(np.int32),
            legal=self.layout.legal,
            rewards=rewards,
            returns_to_go=to_go,
            terminated=terminated,
            truncated=truncated,
            log_probs=self._log_probs[slot, :length],
            versions=self._versions[slot, :length],
            context_start=self._context_start[slot, :length],
            return_tokens=self._return_tokens[slot, :length],
            temperature=self.temperature,
            patches=self._patches[slot, :length],
            tail_patches=self._patches[slot, 0, :0] if patches is None else patches,
            patch_intervals=self.layout.patch_intervals,
            prompt=self._prompts[slot].tokens,
            prompt_patches=self._prompts[slot].patches,
        )
        record.check()
        return cut(record, self.context)

    def _per_step(self) -> tuple[np.ndarray, ...]:
        return (
            self._tokens,
            self._log_probs,
            self._versions,
            self._context_start,
            self._return_tokens,
            self._rewards,
            self._patches,
        )

    def _grow(self) -> None:
        """Doubles the room for steps."""
        (
            self._tokens,
            self._log_probs,
            self._versions,
            self._context_start,
            self._return_tokens,
            self._rewards,
            self._patches,
        ) = (np.concatenate([part, part], axis=1) for part in self._per_step())
