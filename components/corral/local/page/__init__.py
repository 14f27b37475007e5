"""The live page of `corral up`: a look at Envoy's counters each second, and a web page on loopback that shows it."""
