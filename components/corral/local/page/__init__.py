"""The live page of `corral serve`: a snapshot of Envoy's counters each second, and a web page that shows it."""
