"""The judge: PairRM as a REST service that says how likely each candidate beats each other candidate."""
