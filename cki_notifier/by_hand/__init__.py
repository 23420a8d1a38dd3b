"""What a person sends, or has decided, by hand, through the daemon's own rules.

``run`` is one checkout, or any notification's body, for a minute at most; ``send`` is what all have
in common who send by hand. What the command line looks like is not in here.
"""
