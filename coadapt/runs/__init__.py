"""The run store: its rows and manifest, attempts and leases, snapshots and agents.

What is written goes through `files`, and is whole on the disk or not there.
"""
