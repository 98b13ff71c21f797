"""Whether generated ECGs help a classifier that has seen too few patients of one class (SE-Diff section 4.2)."""
