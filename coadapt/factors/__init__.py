"""The seven columns of Table 1, one file each: final classes, their union at the end.

The union is the registry: a class that stands in it can be named in flags and grids.
Every class says in `symbol` how the paper prints it.
"""
