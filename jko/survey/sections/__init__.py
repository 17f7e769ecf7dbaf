"""The claims, a module for a part of a section of the survey, sorted as the survey is."""
