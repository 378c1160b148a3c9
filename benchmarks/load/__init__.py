"""Clients under load while production switches. See `__main__`."""
