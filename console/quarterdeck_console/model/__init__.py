"""The console's headless model: what is shown, without a widget."""
