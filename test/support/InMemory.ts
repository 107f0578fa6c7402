/** An in-memory ensemble of the test file that imports this, set up as the shared server is. */
import { afterAll } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../../src/ZooKeeperTest.ts"
import { likeTheSharedServer } from "../memory/settings.ts"

const scope = Scope.makeUnsafe()

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const test = Effect.runSync(Scope.provide(ZooKeeperTest.make({ ...likeTheSharedServer, size: 3 }), scope))

/** Each layer is another client, of any of three servers. */
export const inMemory = (settings?: Partial<ZooKeeper.Options>): Layer.Layer<ZooKeeper.ZooKeeper, ZooKeeper.OperationError> =>
  Layer.effect(ZooKeeper.ZooKeeper, test.client(settings))
