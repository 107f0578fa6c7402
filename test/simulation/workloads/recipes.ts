/** Workloads of recipes, each to be run by its name. */
import type { Workload } from "../Simulation.ts"
import { barrierWorkload } from "./barrier.ts"
import { countingWorkload } from "./counting.ts"
import { doubleBarrierWorkload } from "./doubleBarrier.ts"
import { electionWorkload } from "./election.ts"
import { lockWorkload } from "./lock.ts"
import { lockingQueueWorkload } from "./lockingQueue.ts"
import { multiLockWorkload } from "./multiLock.ts"
import { queueWorkload } from "./queue.ts"
import { readWriteLockWorkload } from "./readWriteLock.ts"
import { semaphoreWorkload } from "./semaphore.ts"

export const recipes: ReadonlyArray<Workload> = [
  lockWorkload,
  readWriteLockWorkload,
  semaphoreWorkload,
  electionWorkload,
  multiLockWorkload,
  countingWorkload,
  queueWorkload,
  lockingQueueWorkload,
  barrierWorkload,
  doubleBarrierWorkload
]
