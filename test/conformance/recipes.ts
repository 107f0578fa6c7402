/** What the suites of the recipes share. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type CreateError, type OperationError, type Service, ZooKeeper } from "../../src/ZooKeeper.ts"

export const text = (data: Uint8Array): string => new TextDecoder().decode(data)

export const bytes = (data: string): Uint8Array => new TextEncoder().encode(data)

/**
 * Clients live in real time where tests set the clock: a server waits for nobody, and they could never connect again
 * to one that has hung up.
 */
export const inRealTime = (layer: Layer.Layer<ZooKeeper, OperationError>): Layer.Layer<ZooKeeper, OperationError> =>
  Layer.provide(layer, Layer.succeed(Clock.Clock)(Clock.Clock.defaultValue()))

/** The client under test, and a znode for one test that is gone with all below it when the test ends. */
export const here: Effect.Effect<
  { readonly zk: Service; readonly root: string },
  CreateError,
  Scope.Scope | ZooKeeper
> = Effect.gen(function*() {
  const zk = yield* ZooKeeper
  const root = yield* Effect.acquireRelease(
    zk.create(`/recipe-${globalThis.crypto.randomUUID()}`),
    (path) => Effect.orDie(Effect.catchTag(zk.deleteRecursive(path), "NoNode", () => Effect.void))
  )
  return { zk, root }
})

/** One more client of the same server, as long as the scope. */
export const other = (
  layer: Layer.Layer<ZooKeeper, OperationError>
): Effect.Effect<Service, OperationError, Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(inRealTime(layer))), (context) => Context.get(context, ZooKeeper))

/** Everything that was sent before, by this client, has been answered. */
export const settled = (zk: Service): Effect.Effect<void, OperationError> =>
  Effect.andThen(zk.sync("/"), Effect.andThen(Effect.yieldNow, zk.sync("/")))
