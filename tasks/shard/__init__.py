"""Shard: kept crops become uint8 tensors that training reads at memory speed."""
