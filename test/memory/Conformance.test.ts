/** The conformance suites on the core of the in-memory server, as each release that has all they ask for. */
import { afterAll, assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as MemoryServer from "../../src/memory/Server.ts"
import type { Settings } from "../../src/testing/Connect.ts"
import { operations } from "../../src/testing/Operations.ts"
import { watches } from "../../src/testing/Watches.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { dial } from "./dial.ts"
import { likeTheSharedServer } from "./settings.ts"

for (const compat of ["3.8", "3.9"] as const) {
  describe(`the in-memory server as ${compat}`, () => {
    const scope = Scope.makeUnsafe()
    const server = Effect.runSync(Scope.provide(MemoryServer.make({ ...likeTheSharedServer, compat }), scope))
    afterAll(async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      assert.deepStrictEqual(server.defects, [])
      assert.strictEqual(server.connections.size, 0)
      assert.deepStrictEqual(server.watches, [])
    })
    const connect = ({ chroot = "", ...settings }: Settings = {}) =>
      ZooKeeper.layer({ hosts: `127.0.0.1:2181${chroot}`, dial: dial(server), ...settings })
    operations("operations", connect)
    watches("watches", connect)
  })
}
