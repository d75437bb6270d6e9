"""A sweep: what its words mean, how it uses the machine, what becomes of each run, and how it is stopped."""
