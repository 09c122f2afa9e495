"""PairRM: tokenizer, checkpoint, layout of passes, and a DeBERTa network of its own with kernels for a CPU and for a GPU.

Imports torch, tokenizers and safetensors, each in one module or few; nothing of another engine.
"""
