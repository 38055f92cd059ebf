"""What Lookalike's services share and its users import.

Knows no service; pulls in neither torch, faiss nor pandas.
"""

__version__ = "0.1.0"
