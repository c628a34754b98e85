"""The recipes, one file each, and the door that DVC calls: python -m pipelines STEP NAME."""
