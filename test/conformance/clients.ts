/** Clients of the server under test, and a znode of the test's own. */
import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Connect, Settings } from "../../src/testing/Connect.ts"
import { type OperationError, type Service, ZooKeeper } from "../../src/ZooKeeper.ts"

export interface World {
  readonly zk: Service
  readonly other: Service
  /** Another client, for as long as the test runs. */
  readonly client: (settings?: Settings) => Effect.Effect<Service, OperationError, Scope.Scope>
  readonly root: string
}

/** Makes a recipe for one of the clients. */
export const of = <A, E, R>(zk: Service, effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, ZooKeeper, zk)

/** Reads what others did: the server of an ensemble that we are connected to may not know yet. */
export const now = <A, E, R>(zk: Service, read: Effect.Effect<A, E, R>) => Effect.andThen(zk.sync("/"), read)

export const tests = (connect: Connect) => {
  const client: World["client"] = (settings) =>
    Effect.map(Layer.build(Layer.fresh(connect(settings))), Context.get(ZooKeeper))
  return <E>(title: string, body: (world: World) => Effect.Effect<void, E, Scope.Scope | ZooKeeper>) =>
    it.live(title, () =>
      Effect.gen(function*() {
        const zk = yield* client()
        const other = yield* client()
        const root = yield* zk.create(`/recipes-${globalThis.crypto.randomUUID()}`)
        yield* Effect.scoped(of(zk, body({ zk, other, client, root })))
        yield* Effect.catchTag(zk.deleteRecursive(root), "NoNode", () => Effect.void)
      }), 30_000)
}
