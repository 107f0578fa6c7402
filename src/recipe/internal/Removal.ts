/**
 * Getting rid of znodes of ours, in the background where it cannot be done at
 * once: tried again until they are proven gone, or the session that owns them
 * (they are ephemeral) has ended, or the client is closed.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as RetryPolicy from "../../RetryPolicy.ts"
import * as ZnodePath from "../../ZnodePath.ts"
import type { Service } from "../../ZooKeeper.ts"

/** Repeats what may be repeated, whatever its last outcome was, for as long as that can help. */
export const persist = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(effect, {
    schedule: RetryPolicy.connection,
    while: (error) =>
      typeof error === "object" && error !== null && "_tag" in error && error._tag === "ConnectionError"
      && "isRetryable" in error && error.isRetryable === true
  })

/** Deletes a znode until it is proven gone. */
export const untilGone = (zk: Service, path: string) =>
  persist(Effect.catchTag(zk.delete(path), "NoNode", () => Effect.void))

/**
 * Deletes the children whose names begin like that until none is left: for
 * creates of which nobody knows the outcome, or the name.
 */
export const untilNoneBegins = (zk: Service, parent: string, prefix: string) =>
  persist(
    Effect.gen(function*() {
      // The server that answers now may be behind the one that was asked to create.
      yield* zk.sync(parent)
      const names = yield* zk.getChildren(parent)
      yield* Effect.forEach(
        names.filter((name) => name.startsWith(prefix)),
        (name) => untilGone(zk, ZnodePath.join(parent, name)),
        { discard: true }
      )
    }).pipe(Effect.catchTag("NoNode", () => Effect.void))
  )

/** Completes when there is no connection that takes writes. */
const unwritable = (zk: Service): Effect.Effect<void> =>
  Effect.flatMap(zk.state, (state) => state._tag === "Connected" && state.readOnly ? Effect.void : zk.disconnected)

/**
 * Removes in the background, in the current session's life, and waits for it as
 * long as there is a connection that takes writes. Never fails and cannot hang: it is made for
 * finalizers.
 */
export const inBackground = <E extends { readonly _tag: string; readonly message: string }>(
  zk: Service,
  removal: Effect.Effect<void, E>
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkDetach(
      Effect.raceFirst(removal, zk.sessionEnd).pipe(
        Effect.catch((error) =>
          // With the session its ephemeral znodes have ended as well.
          error._tag === "ConnectionError"
            ? Effect.void
            : Effect.logWarning("A znode of ours cannot be removed; it stays until the session ends").pipe(
              Effect.annotateLogs({ reason: error.message })
            )
        )
      ),
      { startImmediately: true }
    )
    yield* Effect.raceFirst(Fiber.await(fiber), unwritable(zk))
  })
