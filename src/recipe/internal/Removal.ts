/**
 * Removing znodes of our own when nobody waits for it any more.
 */
import * as Effect from "effect/Effect"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { Service } from "../../ZooKeeper.ts"
import { ConnectionError } from "../../ZooKeeperError.ts"

/**
 * Deletes an ephemeral znode of ours in the background, until it is gone or its
 * session is: whoever is interrupted, or has failed, does not wait for it.
 */
export const removed = (zk: Service, path: string): Effect.Effect<void> =>
  zk.delete(path).pipe(
    Effect.retry({
      schedule: RetryPolicy.connection,
      while: (error) => error instanceof ConnectionError && error.isRetryable
    }),
    Effect.ignore,
    Effect.forkDetach({ startImmediately: true }),
    Effect.asVoid
  )
