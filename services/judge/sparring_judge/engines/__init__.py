"""The engines, a module or a folder each: from a task to units of work, and from units to values.

`by_name` finds the one wanted. They import `engine` (what an engine is), `models` (what those that hold a model share) and the
tasks below; never each other, but for the real llm-blender, which reads tasks as `pairrm` does, and the ensemble, which is made
of others.
"""
