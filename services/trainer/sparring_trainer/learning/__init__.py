"""What is learned and how: pairs as examples and batches, log-probs, losses, the loop, models in and out of their folders.

Imports torch and transformers; knows no job and no service.
"""
