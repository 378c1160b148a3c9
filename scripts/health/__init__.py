"""Whether the collections of a server do what they are there for: what was seen of them, and what that means."""
