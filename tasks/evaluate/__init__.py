"""Evaluate: a trained recipe measured on pictures it never saw.

translation.run for recipes that paint photos, noise.run for recipes that paint from noise; settings need no torch.
"""
