"""Wires: one package for each kind. Leaves: imported by nobody but the composing top."""
