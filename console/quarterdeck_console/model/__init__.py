"""What the console knows, without a terminal: rows, stores, order, text. Imports no Textual."""
