"""One file a verb that looks at finished runs: eval, sample."""
