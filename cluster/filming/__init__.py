"""Videos of a policy that plays: short clips for TensorBoard, and files with overlays."""
