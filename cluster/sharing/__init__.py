"""Checkpoints for others: a folder in Hugging Face's style with a model card, out and in."""
