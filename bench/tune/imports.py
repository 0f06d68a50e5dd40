"""Large packages, imported while the garbage collector rests.

They make so many objects that looking for garbage among them, in vain, takes almost half of the
time. To be imported before anything that imports one of them, in the command and in workers.
"""

import gc

gc.disable()


gc.freeze()
gc.enable()
