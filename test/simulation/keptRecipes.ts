/**
 * Seeds that found a bug of a recipe, each with the number of clients that it
 * had: how many a workload draws may change. `bug` is its name in `recipeBugs.ts`
 * where it could be put back; `npm run simulate -- --planted` says where the seed
 * finds it no more.
 */
import type { Workload } from "./Simulation.ts"

export interface KeptRecipe {
  readonly seed: number
  readonly workload: string
  readonly clients: number
  /** In ms, where it is not the workload's. */
  readonly duration?: number
  readonly bug?: string
  readonly found: string
}

/** What a kept seed is run with. */
export const keptWorkload = (
  { clients, duration, seed, workload }: KeptRecipe,
  find: (seed: number, name: string) => Workload
): Workload => ({ ...find(seed, workload), clients, ...duration === undefined ? {} : { duration } })

export const keptRecipes: ReadonlyArray<KeptRecipe> = [
  {
    seed: 277,
    workload: "election",
    clients: 3,
    found: "a contender whose create was lost took a znode of its name, made in an earlier session, for its own, and left its own behind"
  },
  {
    seed: 366,
    workload: "election",
    clients: 3,
    duration: 4000,
    found: "a contender left its own znode behind for one of its name that another session had made, and that came about late"
  },
  {
    seed: 148,
    workload: "election",
    clients: 2,
    bug: "one-cut-hides-the-leader",
    found: "whoever followed the leader was told no more after two sessions had ended"
  },
  {
    seed: 58,
    workload: "present",
    clients: 2,
    duration: 4000,
    bug: "late-creates-not-awaited",
    found: "a persistent znode that came about late, in a session that was given up, was left behind"
  },
  {
    seed: 205,
    workload: "doubleBarrier",
    clients: 3,
    duration: 4000,
    bug: "announced-for-whoever-comes",
    found: "whoever left announced a round that was over, and a newcomer went through alone"
  },
  {
    seed: 715,
    workload: "doubleBarrier",
    clients: 2,
    duration: 4000,
    found: "a newcomer was taken for a member of the round before"
  },
  {
    seed: 188,
    workload: "doubleBarrier",
    clients: 6,
    duration: 4000,
    bug: "left-behind-counts-as-there",
    found: "a member whose znode was of the session before counted itself as there, and had no watch to tell that it had gone"
  },
  {
    seed: 527,
    workload: "doubleBarrier",
    clients: 2,
    duration: 4000,
    bug: "who-comes-back-is-waited-for",
    found: "a member that had come back in a new session was waited for, and waited itself"
  },
  {
    seed: 1988,
    workload: "doubleBarrier",
    clients: 2,
    duration: 4000,
    bug: "who-comes-back-is-waited-for",
    found: "a member that had come back in a new session, between two looks of another, was waited for, and waited itself"
  },
  {
    seed: 57,
    workload: "readWriteLock",
    clients: 3,
    bug: "downgrade-has-a-token-of-its-own",
    found: "a downgraded grant had a token that was larger than those of the writers behind it"
  },
  {
    seed: 25,
    workload: "queue",
    clients: 3,
    found: "an interrupted take lost an item whose removal was unanswered: no bug to mend, but to say"
  },
  {
    seed: 5,
    workload: "setPartitioner",
    clients: 2,
    bug: "eight-tries-to-look-at-the-party",
    found: "a member gave up after eight tries"
  },
  {
    seed: 35,
    workload: "party",
    clients: 2,
    bug: "one-cut-ends-the-party",
    found: "a reading that was cut off ended the stream of members"
  },
  {
    seed: 11,
    workload: "serviceRegistry",
    clients: 3,
    bug: "interrupted-updates-forgotten",
    found: "an update that was interrupted, and made, was undone by the next one"
  },
  {
    seed: 4,
    workload: "serviceRegistry",
    clients: 2,
    bug: "permanent-though-given-up",
    found: "a permanent registration that was given up half-way was left behind"
  },
  {
    seed: 0,
    workload: "groupMember",
    clients: 3,
    bug: "absent-with-an-old-payload",
    found: "a member whose znode was gone had the payload before an update that was interrupted"
  }
]
