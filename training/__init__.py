"""From raw listings and photos to a served model, one step a module, in the order of __main__."""
