"""Everything that is set from outside, read once and checked: the only reader of the environment.

It knows the variables and their values. What is done with a value is in the room that uses it.
"""
