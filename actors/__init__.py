"""Domains, environments, what actors record, the actor process, evaluation and experts."""
