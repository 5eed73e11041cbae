//! One room as a sans-IO state machine: who is in it, who hears whom.
