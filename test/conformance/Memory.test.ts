/** The suites of the package on the in-memory server in this process. Over TCP they run as the project `memory` of vitest.config.ts. */
import { afterAll } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { conformance } from "../../src/testing.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../../src/ZooKeeperTest.ts"
import { likeTheSharedServer } from "../memory/settings.ts"

const scope = Scope.makeUnsafe()

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const test = Effect.runSync(Scope.provide(ZooKeeperTest.make({ ...likeTheSharedServer, size: 3 }), scope))
conformance("in process", (settings) => Layer.effect(ZooKeeper.ZooKeeper, test.client(settings)))

const torn = Effect.runSync(Scope.provide(ZooKeeperTest.make(likeTheSharedServer), scope))
Effect.runSync(torn.splitBytes())
conformance("in process, byte by byte", (settings) => Layer.effect(ZooKeeper.ZooKeeper, torn.client(settings)))
