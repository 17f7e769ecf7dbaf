"""Numerical methods that know nothing of measures.

Scratch memory, blocks, conjugate gradients, line searches, banded systems.
One small idea a file, each with a test of its own.
"""
