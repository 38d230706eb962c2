"""Graphs as files: tensors in safetensors, structure as versioned JSON; no pickle, nothing that can execute.

A file is one safetensors file (https://github.com/huggingface/safetensors). Its tensors ``c0``, ``c1``, ... are the
constants and initial values. Its metadata has four strings: ``format`` is "graphad", ``version`` is "1", ``structure``
is JSON, and ``structure_crc32`` the CRC-32 of the JSON in UTF-8. Where the JSON is too long for a header, it is the
tensor ``structure`` (bytes) instead of metadata. The JSON, with numbers that point into its tables (-1 for none):

    {"types": ["f64[8,5]", ...],                    types as they are printed
     "locations": [["dir/model.py", 12, "h = x @ w"], ...],   file, line, source text
     "scopes": ["", "encoder", ...],
     "tensors": {"c0": 1234567, ...},               CRC-32 of the bytes of each tensor
     "graphs": [GRAPH, ...]}                        the last is the graph; each holds only graphs before it

    GRAPH = {"name": "loss",
     "inputs": [{"name": "w", "label": "w", "type": 0, "kind": "parameter", "location": -1, "scope": 0,
                 "role": "forward", "replica": 0, "initial": "c0"}, ...],      "initial" only where there is one
     "ops": [["sum", {"axes": [0, 1]}], ...],       name and attributes, those at their default left out
     "nodes": [[op, [operand, ...], [type, ...], location, scope, role, replica], ...],
     "outputs": [operand, ...], "output_names": ["out"],
     "input_container": "(*, *)", "output_container": "*",      as `str(container)` writes them
     "assumptions": [["batch >= 10", location], ...]}

An operand is the number of a value: values are numbered through inputs first, then the results of each node; a node can
only name values before it. A role is an index into `graphad.ir.node.ROLES`. Attribute values are JSON's null, booleans,
integers, finite floats and strings; a list for a tuple; and for the rest an object with one tag: ``{"float": "nan"}``,
``{"size": "2*batch"}``, ``{"dtype": "f32"}``, ``{"type": "f64[3]"}``, ``{"array": "c0"}``, ``{"graph": 0}``.
"""

from graphad.files.read import load
from graphad.files.write import save

__all__ = ["load", "save"]
