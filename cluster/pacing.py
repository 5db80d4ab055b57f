"""Who may go on: actors and learner keep the same share of their work, so that both end at their totals."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pacing:
    """Environment steps spread evenly over updates.

    The learner never is further than the actors; the actors are ahead by at most `lead` updates' worth of steps, or by
    what the tables need before they can be sampled. One of the two may always go on, so they never wait for each other.
    """

    updates: int
    """Updates in all."""
    steps: int
    """Environment steps in all."""
    lead: int
    """Updates by which the actors may be ahead; at least 1."""

    def updates_allowed(self, steps: int) -> int:
        """Updates that may be done, in all, once `steps` environment steps are."""
        return min(self.updates, self.updates * steps // self.steps)

    def steps_allowed(self, updates: int) -> int:
        """Environment steps that may be done, in all, once `updates` updates are."""
        return min(self.steps, -(-self.steps * (updates + self.lead) // self.updates))


def divide(total: int, weights: list[float]) -> list[int]:
    """`total` in whole shares as near to `weights` as possible, each at least 1 where total allows."""
    exact = [total * weight / sum(weights) for weight in weights]
    shares = [max(1, int(value)) for value in exact]
    while sum(shares) > total and max(shares) > 1:
        index = max(range(len(shares)), key=lambda i: (shares[i] - exact[i], shares[i]) if shares[i] > 1 else (-1e9, 0))
        shares[index] -= 1
    while sum(shares) < total:
        shares[max(range(len(shares)), key=lambda i: exact[i] - shares[i])] += 1
    return shares
