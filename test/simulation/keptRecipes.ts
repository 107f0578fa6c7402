/**
 * Seeds that found a bug of a recipe, which is among `recipeBugs.ts` where it
 * could be put back.
 */
export const keptRecipes: ReadonlyArray<{ readonly seed: number; readonly workload: string; readonly found: string; readonly duration?: number }> = [
  { seed: 366, workload: "election", duration: 4000, found: "the same, where the other session's came late" },
  { seed: 58, workload: "present", duration: 4000, found: "a persistent znode that came about late, in a session that was given up, was left behind" },
  { seed: 287, workload: "doubleBarrier", duration: 4000, found: "whoever left announced a round that was over, and a newcomer went through alone" },
  { seed: 715, workload: "doubleBarrier", duration: 4000, found: "a newcomer was taken for a member of the round before" },
  { seed: 1530, workload: "doubleBarrier", duration: 4000, found: "a member that had come back in a new session was waited for, and waited itself" },
  { seed: 1988, workload: "doubleBarrier", duration: 4000, found: "the same, where it came back between two looks" },
  { seed: 57, workload: "readWriteLock", found: "a downgraded grant had a token that was larger than those of the writers behind it" },
  { seed: 25, workload: "queue", found: "an interrupted take lost an item whose removal was unanswered: no bug to mend, but to say" },
  { seed: 277, workload: "election", found: "a contender took another session's znode of its name for its own, and left its own behind" },
  { seed: 148, workload: "election", found: "whoever followed the leader was told no more after two sessions had ended" },
  { seed: 61, workload: "setPartitioner", found: "a member gave up after eight tries" },
  { seed: 35, workload: "party", found: "a reading that was cut off ended the stream of members" }
]
