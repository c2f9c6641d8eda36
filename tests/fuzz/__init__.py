"""Readers of files under mutated input: each file is taken, or refused in one line, within 5 s and 4 GB.

    python -m tests.fuzz --count 100000 --reader shengbte-control --folder fuzz-results

Input number i of a reader follows from the seed and i alone, so that a run can be repeated, and goes on where it
stopped when it is started again with the same folder.
"""
