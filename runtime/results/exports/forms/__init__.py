"""The forms of an exported network, a module each: how it is written, and how it is loaded."""
