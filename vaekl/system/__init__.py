"""What the program stands on: errors, files, cores and devices, several processes, libraries that may fail."""
