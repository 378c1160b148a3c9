"""How fast a collection answers, how much of the exact answer it gives, and what either costs of the other."""
