"""Crystals: force constants of a supercell, modes and heat transport on a mesh of wave vectors."""
