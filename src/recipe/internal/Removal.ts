/**
 * Removing znodes of our own when nobody waits for it any more.
 */
import * as Effect from "effect/Effect"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { Operation } from "../../Transaction.ts"
import type { Service } from "../../ZooKeeper.ts"
import { ConnectionError } from "../../ZooKeeperError.ts"

const inBackground = <A, E>(removal: Effect.Effect<A, E>): Effect.Effect<void> =>
  removal.pipe(
    Effect.retry({
      schedule: RetryPolicy.connection,
      while: (error) => error instanceof ConnectionError && error.isRetryable
    }),
    Effect.ignore,
    Effect.forkDetach({ startImmediately: true }),
    Effect.asVoid
  )

/**
 * Deletes an ephemeral znode of ours in the background, until it is gone or its
 * session is: whoever is interrupted, or has failed, does not wait for it.
 */
export const removed = (zk: Service, path: string): Effect.Effect<void> => inBackground(zk.delete(path))

/** The same for several, in a transaction that can succeed only once. */
export const undone = (zk: Service, operations: ReadonlyArray<Operation>): Effect.Effect<void> =>
  inBackground(zk.transaction(operations))
