"""The workloads of the benchmark table: one file a problem, one function a library.

A workload's module has `problem(...)`, which makes its inputs (NumPy arrays, from a fixed seed), and for each library a
function that takes them, puts them on the library's side and returns what builds its `Case`. What stands here is user
code: the public API of each library, as its users would write it, and the same mathematics on every side.
"""
