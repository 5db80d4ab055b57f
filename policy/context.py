"""Where a context begins: the one rule that the policy server, the actors' records and the learner's windows share.

A context holds whole timesteps and at most L tokens. When the next step does not fit any more, the oldest half of the
steps is dropped in one block (more, where attention does not reach that far back), so that the rest is prefilled anew
rarely, and every forward pass while acting is one that training could have seen. A prompt is never dropped: its steps
stand before those of the episode in every context, and leave so much less room for them.
"""

from policy.errors import SpaceError


def fitting_steps(context: int, step_tokens: int, task: str = "task", prompt: int = 0) -> int:
    """Whole timesteps of an episode that fit into `context` tokens, behind a prompt of `prompt` timesteps.

    Raises:
        SpaceError: when not even one step fits.
    """
    if step_tokens > context:
        raise SpaceError(
            f"{task}: one timestep has {step_tokens} tokens, the policy's context only {context}; "
            f"set policy.context to at least {step_tokens}"
        )
    fit = context // step_tokens
    if prompt >= fit:
        raise SpaceError(
            f"{task}: a prompt of {prompt} timesteps leaves no room in the policy's context, which holds {fit}; "
            f"give one of at most {fit - 1}"
        )
    return fit - prompt


def next_start(start: int, step: int, fit: int, attention_steps: int | None = None) -> int:
    """Where the context of `step` begins, given where the one before began.

    Args:
        start: step at which the context began so far.
        step: the step that is about to be added.
        fit: as from `fitting_steps`.
        attention_steps: as in `PolicyConfig`: steps further back are seen by nobody, so a slide keeps none of them.
    """
    if step - start + 1 <= fit:
        return start
    kept = fit // 2 if attention_steps is None else min(fit // 2, attention_steps)
    return step - kept
