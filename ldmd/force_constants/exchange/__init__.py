"""Force constants to and from the files and objects of other programs.

All of them mean the derivatives of the potential energy, in eV/Angstrom^n, unless the module says otherwise; LAMMPS
writes derivatives of the forces. What they differ in is the order of the atoms, which of them have a row, and how a
periodic image is named. Every reader returns ``ForceConstants`` of a ``Supercell``; every writer takes one.
"""
