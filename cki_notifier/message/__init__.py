"""The ``ready-for-test`` message: the contract, how it is built, the record that carries it.

Made of what was loaded and decided elsewhere. Nothing is asked or sent in here.
"""
