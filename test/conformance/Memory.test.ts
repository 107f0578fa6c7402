/** The suites of the project on the in-memory server: in this process, and over TCP. */
import { afterAll, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as MemoryZooKeeper from "../../src/MemoryZooKeeper.ts"
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

const listening = await Effect.runPromise(
  Scope.provide(MemoryZooKeeper.listen({ ...likeTheSharedServer, port: 0 }), scope)
)
suites("over TCP", ({ chroot = "", ...settings } = {}) =>
  ZooKeeper.layer({ hosts: `${listening.hosts}${chroot}`, ...settings }))
