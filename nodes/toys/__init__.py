"""Tiny nodes, one honest and four broken, that show what the judges can see."""
