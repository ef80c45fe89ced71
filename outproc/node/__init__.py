"""The node: what composes litz's parts into a process that others can reach."""
