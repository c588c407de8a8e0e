//! The verbs: plan, build, check, ship.
