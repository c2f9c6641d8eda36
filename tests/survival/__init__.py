"""Comparisons that are killed, stopped, starved and damaged, and must give the numbers of one that was left in peace.

``python -m tests.survival --kills 200 --damages 100`` is the whole; ``test_survival.py`` is a sample of it.
"""
