/** Workloads of recipes. */
import type { Workload } from "../Simulation.ts"
import { barrierWorkload } from "./barrier.ts"
import { countingWorkload } from "./counting.ts"
import { doubleBarrierWorkload } from "./doubleBarrier.ts"
import { electionWorkload } from "./election.ts"
import { followingWorkload } from "./following.ts"
import { groupMemberWorkload } from "./groupMember.ts"
import { leaseWorkload } from "./lease.ts"
import { lockWorkload } from "./lock.ts"
import { lockingQueueWorkload } from "./lockingQueue.ts"
import { multiLockWorkload } from "./multiLock.ts"
import { partyWorkload, shallowPartyWorkload } from "./party.ts"
import { orderedQueueWorkload, queueWorkload } from "./queue.ts"
import { readWriteLockWorkload } from "./readWriteLock.ts"
import { revocationWorkload } from "./revocation.ts"
import { semaphoreWorkload } from "./semaphore.ts"
import { serviceRegistryWorkload } from "./serviceRegistry.ts"
import { setPartitionerWorkload } from "./setPartitioner.ts"

export const recipes: ReadonlyArray<Workload> = [
  lockWorkload,
  readWriteLockWorkload,
  semaphoreWorkload,
  electionWorkload,
  multiLockWorkload,
  revocationWorkload,
  countingWorkload,
  queueWorkload,
  orderedQueueWorkload,
  lockingQueueWorkload,
  barrierWorkload,
  doubleBarrierWorkload,
  leaseWorkload,
  setPartitionerWorkload,
  partyWorkload,
  shallowPartyWorkload,
  groupMemberWorkload,
  serviceRegistryWorkload,
  followingWorkload
]
