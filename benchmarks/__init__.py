"""python -m benchmarks NAME [--quick]: a table with the peers beside us, and a last line of JSON."""
