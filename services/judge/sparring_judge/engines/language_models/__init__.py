"""Language models as judges, computed here with `transformers`: one that names the better answer, one that rewards each.

Imports nothing of another engine.
"""
