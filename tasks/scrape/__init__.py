"""Scrape: pictures from a source into data/1-raw/SET, originals byte for byte, each with its provenance."""
