/**
 * Seeds that found a bug of a recipe, which is among `recipeBugs.ts` where it
 * could be put back.
 */
export const keptRecipes: ReadonlyArray<{ readonly seed: number; readonly workload: string; readonly found: string }> = [
  { seed: 57, workload: "readWriteLock", found: "a downgraded grant had a token that was larger than those of the writers behind it" },
  { seed: 25, workload: "queue", found: "an interrupted take lost an item whose removal was unanswered: no bug to mend, but to say" },
  { seed: 277, workload: "election", found: "a contender took an older znode of its name for its own, and left the newer one behind" },
  { seed: 148, workload: "election", found: "whoever followed the leader was told no more after two sessions had ended" },
  { seed: 61, workload: "setPartitioner", found: "a member gave up after eight tries" },
  { seed: 35, workload: "party", found: "a reading that was cut off ended the stream of members" }
]
