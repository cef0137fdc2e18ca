"""The day-ahead plan: at which operating point each group of rigs earns most in each slot of the hours ahead.

Pure: a problem goes in, a plan comes out. A worker process solves it.
"""
