"""Pretraining by several processes that train one policy together, under Ray Train."""
