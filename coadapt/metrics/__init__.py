"""What is logged of an agent: the registry of metrics, and writers of other programs.

`registry` says what each metric is; `writers` copy rows to TensorBoard and W&B.
"""
