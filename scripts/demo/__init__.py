"""A shop to practise promotions on: its catalogue, its golden queries and its embedding models, made on this machine."""
