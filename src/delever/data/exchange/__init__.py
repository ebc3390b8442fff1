"""Market history from exchanges, complete or said to be otherwise; the only room that knows ccxt.

::

    jobs            several data sets of several venues at once
    fetch           one data set: what to ask for, in which order, when to store
    plan            where history begins and ends at a venue, and what is not known yet
    gather          one window: asked until nothing is missing, or the venue has confirmed the rest
    pages           one answer: ccxt's rows of a kind as stamps and columns
    client          a venue's connection: its clock, its patience, its errors in our words
    venue           what can be particular to a venue, as values
    quirks          every quirk of every venue, as rows of that
    probe           what a venue permits that is not among those known
    bracket_tables  the leverage brackets a venue has now, and those in a saved file
    spans           stretches of time in milliseconds
"""
