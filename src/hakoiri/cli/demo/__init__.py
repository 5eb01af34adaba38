"""`hakoiri demo`: the whole system once, with the rehearsal model, and proofs of its promises."""
