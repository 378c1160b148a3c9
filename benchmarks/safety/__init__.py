"""What docs/safety.md says in numbers: `kill -9` everywhere, races, and how long a rollback takes."""
