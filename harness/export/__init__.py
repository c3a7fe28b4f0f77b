"""What leaves the harness for those who look at traces elsewhere: ended spans, and scores."""
