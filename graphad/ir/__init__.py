"""The intermediate representation: types, ops' base class, nodes, graphs, and what reads and checks them.

Nothing in here knows any particular op but inputs and constants, nor how graphs come about or run.
"""
