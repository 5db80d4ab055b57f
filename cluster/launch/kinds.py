"""The modules that launch each kind of cluster."""

from types import ModuleType

from cluster.launch import kubernetes, local, ssh

KINDS: dict[str, ModuleType] = {"local": local, "ssh": ssh, "kubernetes": kubernetes}
"""Each has up, down, jobs_address and runs."""
