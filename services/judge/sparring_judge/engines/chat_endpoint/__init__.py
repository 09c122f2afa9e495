"""A language model behind any chat endpoint as judge: the question, the requests, and how a verdict is read.

Imports the package `openai` in one module; nothing of another engine.
"""
