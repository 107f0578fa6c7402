/** The suites of the package on the in-memory server in this process. Over TCP they run as the project `memory` of vitest.config.ts. */
import { afterAll, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { type Connect, operations, watches } from "../../src/testing.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../../src/ZooKeeperTest.ts"
import { likeTheSharedServer } from "../memory/settings.ts"

const scope = Scope.makeUnsafe()

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const suites = (name: string, connect: Connect) =>
  describe(name, () => {
    operations("operations", connect)
    watches("watches", connect)
  })

const test = Effect.runSync(Scope.provide(ZooKeeperTest.make({ ...likeTheSharedServer, size: 3 }), scope))
suites("in process", (settings) => Layer.effect(ZooKeeper.ZooKeeper, test.client(settings)))

const torn = Effect.runSync(Scope.provide(ZooKeeperTest.make(likeTheSharedServer), scope))
Effect.runSync(torn.splitBytes())
suites("in process, byte by byte", (settings) => Layer.effect(ZooKeeper.ZooKeeper, torn.client(settings)))
