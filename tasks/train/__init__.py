"""Train: one loop under all recipes."""
