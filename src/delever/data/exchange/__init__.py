"""Market history from exchanges, complete or said to be otherwise; the only room that knows ccxt.

::

    fetch      one data set: what to ask for, in which order, when to store
    gather     one window: asked until nothing is missing, or the venue has confirmed the rest
    pages      one answer: ccxt's rows of a kind as stamps and columns
    client     a venue's connection: its clock, its patience, its errors in our words
    limits     how fast a venue may be asked
    venues     what each venue permits, as data
    probe      what a venue permits that is not among them
    brackets   the leverage brackets a venue has now, and in files that were saved: bracket_file
    settings   what a workspace says about venues: ``data/sources.toml``
"""
