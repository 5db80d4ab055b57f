"""Objectives by name. Adding one: a file here, and a line below."""

from learner.objectives import awr, bc, cql, crr, iql, pac, return_conditioned
from learner.types import Objective

OBJECTIVES: dict[str, Objective] = {
    module.OBJECTIVE.name: module.OBJECTIVE for module in (bc, return_conditioned, awr, iql, crr, cql, pac)
}
