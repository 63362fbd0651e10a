"""The screens: each takes rows from the model and puts them into widgets."""
