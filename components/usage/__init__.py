"""Who used what, and what it cost: the log of requests that a running engine keeps, read and added up.

The log holds one line of JSON for each request, never a word of a prompt or an answer.  Beside it the engine writes
down which prices were in force since when.
"""
