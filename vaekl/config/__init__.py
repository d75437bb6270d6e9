"""Words to a config, a config to objects, and what a config that is read back may have called."""
