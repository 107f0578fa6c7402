/**
 * All operations that are served in turn, by their number. Authentication,
 * pings and the end of a session are the connection's own.
 */
import { reconfigOperation } from "./Membership.ts"
import type { Operation } from "./Operation.ts"
import { reads } from "./Reads.ts"
import { watchOperations } from "./WatchOperations.ts"
import { writes } from "./Writes.ts"

export const operations: ReadonlyMap<number, Operation> = new Map(
  [...reads, ...writes, ...watchOperations, reconfigOperation].map((operation) => [operation.opCode, operation])
)
