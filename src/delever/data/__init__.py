"""Data sets: how rows come in, where they are kept, and how they come out.

::

    in      files (plain), vendors (other programs'), web (series), exchange (venues)
            references: what a data set is called; `delever.kinds`: what it must look like
      |
    catalog the door: import, append, load, list, check
      |
    store   parts (rows as Parquet) under one manifest, with the coverage of every bar
      |
    bytes   store_location says where: disk or remote, which offer the same `Files`
"""
