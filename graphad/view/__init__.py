"""Pictures of graphs and of memory plans, as SVG and DOT.

`graph` and `memory` read graphad's own objects; every other file draws plain data. Doors: `Graph.to_svg`,
`Graph.to_dot` and `Plan.to_svg`. Nothing below this room imports it, except through those doors.
"""
