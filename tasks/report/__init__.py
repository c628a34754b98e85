"""Report: one static page that shows what every stage did."""
