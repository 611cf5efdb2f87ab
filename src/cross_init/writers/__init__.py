"""A service as another init's own definition: one file for each init."""
