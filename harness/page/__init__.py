"""A session as one page to be opened in a browser: its data, its looks, and how they come together."""
