"""What params.yaml says of a picture set's shards."""

from pydantic import Field

from tasks.settings import Settings


class Shard(Settings):
    """The block pictures.SET.shard."""

    # The share of groups (an original with all its crops and variants) that training never sees; 0 holds nothing out.
    held_out: float = Field(default=0.1, ge=0, lt=1)
    # Chooses which groups those are; another seed, another choice.
    seed: int = Field(default=0, ge=0)
    # Pictures in one file; null takes the power of two that makes files of at most 64 MiB, and at least 64 pictures.
    per_shard: int | None = Field(default=None, ge=1)
