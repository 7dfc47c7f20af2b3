"""Sources: what they declare, how their demonstration data lands, and whether they are ready for a date."""
