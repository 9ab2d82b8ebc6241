"""Programs of a sweep in processes of their own, on this machine or on a cluster.

`work` runs one program of a store; `pool` and its engines start such processes.
"""
