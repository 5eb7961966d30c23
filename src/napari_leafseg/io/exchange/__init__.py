"""Labels in other programs' formats."""
