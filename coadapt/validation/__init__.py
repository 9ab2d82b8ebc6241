"""Which configs are valid: rules, the whole design space, and what is foreseen.

An invalid combination is an error before anything starts; what is valid but will say
little of an algorithm is a note.
"""
