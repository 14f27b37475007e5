"""The live page of `corral serve`: a look at Envoy's counters each second, and a web page on loopback that shows it."""
