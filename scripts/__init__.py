"""Index Promotion Kit: promotes an embedding model and the collection it produced as one versioned pair."""

__version__ = "0.1.0"
