"""Adapters between litz and other libraries. A leaf: nobody but users imports it."""
