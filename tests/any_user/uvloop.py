"""Stands for uvloop where low ports are moved (see sitecustomize.py): uvloop opens its sockets below Python."""

from asyncio import SelectorEventLoop as Loop
from asyncio import run

__all__ = ["Loop", "run"]
