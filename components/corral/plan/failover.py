"""Which answers of a host send a request on to the next one, on either engine.

Policy.  Every 5xx does, and so does no answer at all.  Of the answers below 500 those do that another host may better:
what this host says of its key, of its model or of its load says nothing of the others.  Any other answer is about the
request itself, which every host would refuse alike, and is the client's to read.
"""

from __future__ import annotations

REFUSED_STATUS = (401, 403, 404, 410)
"""The key is wrong or may not do this; the model is unknown, or gone."""

THROTTLED_STATUS = 429

RETRIED_STATUS = (*REFUSED_STATUS, THROTTLED_STATUS)
"""All of them below 500, in order."""
