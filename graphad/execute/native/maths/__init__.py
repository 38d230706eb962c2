"""Vector maths: elementary and special functions as formulas on `Lanes`, for f32 and f64 and any number of lanes.

Each function writes its instructions in place, without branches on a lane's value where the formula allows it, and
gives a lane the same bits however many lanes there are. What may enter: one function of numbers, accurate to 2 units in
the last place on its usual range, with NumPy's results at nan, infinities, zeros and denormals.
"""
