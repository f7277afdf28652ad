//! Reserved ranges, pools, tiers, quotas: which address is next, or Exhausted. Pure.
