/**
 * Seeds that find a bug which this client had, if it is put back (the last part
 * of `bugs.ts`). A seed means something only together with the simulation that
 * ran it: where that changes, the planted bug says which seed finds it now.
 */
export const kept: ReadonlyArray<{ readonly seed: number; readonly workload: string; readonly found: string }> = [
  { seed: 3, workload: "counter", found: "an increment of another client, with equal bytes, was taken for a lost one" },
  { seed: 12, workload: "counter", found: "a lost increment was reported as not applied when its look-up failed" },
  { seed: 4, workload: "protected", found: "a lost create was reported as not applied when its look-up failed" },
  { seed: 35, workload: "protected", found: "a lost create was looked up at a server that was behind, and made twice" },
  { seed: 65, workload: "sessions", found: "a machine's sleep between a request and its answer did not count" },
  { seed: 177, workload: "counter", found: "answers to all but one write in flight proved nothing" }
]
