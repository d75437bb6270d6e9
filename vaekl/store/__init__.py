"""A run's folder: which files it has, what they hold, and how they are read and written."""
