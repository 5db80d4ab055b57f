"""What a checkpoint, a dataset or a run is made of, for people."""
