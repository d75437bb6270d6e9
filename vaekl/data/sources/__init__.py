"""Where images come from: each function is the `_target_` of one file in conf/dataset and returns a `Source`."""
