/** Workloads of recipes, each to be run by its name. */
import type { Workload } from "../Simulation.ts"
import { lockWorkload } from "./lock.ts"
import { readWriteLockWorkload } from "./readWriteLock.ts"
import { semaphoreWorkload } from "./semaphore.ts"
import { electionWorkload } from "./election.ts"
import { multiLockWorkload } from "./multiLock.ts"

export const recipes: ReadonlyArray<Workload> = [
  lockWorkload,
  readWriteLockWorkload,
  semaphoreWorkload,
  electionWorkload,
  multiLockWorkload
]
