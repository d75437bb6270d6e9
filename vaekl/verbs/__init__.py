"""What is done with finished runs, a package a verb: eval, sample, audit and report."""
