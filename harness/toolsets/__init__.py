"""The built-in toolsets beside `corpus`: `files`, `board` and `web`."""
