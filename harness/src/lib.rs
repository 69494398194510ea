//! Starts a cluster, hurts it, records what its clients saw and judges it.
