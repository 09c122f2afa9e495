"""What engines that hold a model of their own share: where its files lie, where it is computed, what forms a batch.

Imported by engines; imports none.
"""
