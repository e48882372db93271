//! What the simulation has found, by the seed that found it.
