"""What a person sees of a run: TensorBoard's first page and cards, the terminal, the list of runs."""
