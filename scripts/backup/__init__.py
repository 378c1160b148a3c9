"""A pair as files: what a backup consists of, how it is proved whole, and how a restored collection is."""
