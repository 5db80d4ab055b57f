"""Q of every id that may come next, read where an action token is predicted (Q-Transformer, arXiv 2309.10150).

One number an id and not a histogram: 1024 ids times 128 bins would cost more than the policy itself. The number is the
return in symlog space, as the categorical heads have it, so tasks of any reward scale share the head.
"""

import torch
from torch import nn
from torch.nn import functional

from policy.embedding import FREQUENCIES, value_features
from policy.vocabulary import DEFAULT


class ActionValues(nn.Module):
    """A vector for each action id, features of the value for continuous ones, and a part that all ids share.

    All starts at zero: before it is trained, every Q is 0.
    """

    def __init__(self, width: int):
        super().__init__()
        self.table = nn.Embedding(len(DEFAULT.continuous) + len(DEFAULT.discrete), width)
        self.features = nn.Linear(2 * FREQUENCIES + 1, width, bias=False)
        self.shared = nn.Linear(width, 1)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, hidden: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Q in symlog space of the action ids [start, stop), in float32 or wider.

        Args:
            hidden: [M, width], at the positions before the tokens.
            start, stop: within the continuous or within the discrete ids, of any vocabulary.

        Returns:
            [M, stop - start].
        """
        # Never in bfloat16: what two actions differ by is often less than its rounding.
        with torch.autocast(hidden.device.type, enabled=False):
            wide = torch.promote_types(hidden.dtype, torch.float32)
            x = hidden.to(wide)
            # The paper's vocabulary has discrete ids from 0 on; here they stand behind the continuous ones in both.
            continuous, beyond = DEFAULT.continuous, start >= DEFAULT.continuous.start
            first = start - continuous.start if beyond else start + len(continuous)
            rows = self.table.weight[first : first + stop - start].to(wide)
            if start in continuous:
                features = value_features(stop - start).to(rows)  # [ids, features]
                rows = rows + functional.linear(features, self.features.weight.to(wide))
            shared = functional.linear(x, self.shared.weight.to(wide), self.shared.bias.to(wide))  # [M, 1]
            return functional.linear(x, rows) + shared
