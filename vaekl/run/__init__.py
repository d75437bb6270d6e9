"""One run: config to objects, start, execute, resume, load."""
