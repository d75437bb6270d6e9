"""Where data come from: each function here is the `_target_` of one file in conf/dataset and returns a `Source`.

A new kind of data is one file with such a function, which ends in `build_source(name, parts)`; one line in
vaekl/__init__.pyi, which makes the function public; and one file conf/dataset/NAME.yaml with its name and options.
"""
