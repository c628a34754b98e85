"""Prepare: every scraped picture is decided on, kept with its crop or refused under a named reason."""
