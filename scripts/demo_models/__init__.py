"""What the two training scripts share: the demo's models, their training material, sampling, and their cards."""
