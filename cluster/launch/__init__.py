"""Ray clusters: of this machine, of machines over ssh, on Kubernetes. One module each, with the same functions."""
