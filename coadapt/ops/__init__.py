"""The maths: pure functions of arrays. Each cites its source; none knows a network."""
