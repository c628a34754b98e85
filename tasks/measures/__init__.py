"""Measures of pictures and of sets of pictures; the ground floor, imported by any step."""
