"""The maths: pure functions of arrays. Each cites its equation; none knows a network."""
