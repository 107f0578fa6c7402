/**
 * The servers that a recipe's suite runs on: the real one, and the one in memory, in process; and in vitest's project
 * `memory` the same over TCP.
 */
import { afterAll, assert, describe, inject } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as MemoryServer from "../../src/memory/Server.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { layer } from "../../src/ZooKeeper.ts"
import { dial } from "../memory/dial.ts"
import { likeTheSharedServer } from "../memory/settings.ts"

const hosts = inject("zookeeper")
const inMemory = inject("inMemory")

export const onEveryServer = (suite: (title: string, connect: Connect) => void): void => {
  const { name } = suite
  describe.skipIf(hosts === undefined)(inMemory ? "the in-memory server, over TCP" : "a real server", () => {
    suite(name, ({ chroot = "", ...settings } = {}) => layer({ hosts: `${hosts}${chroot}`, ...settings }))
  })
  if (inMemory) return

  describe("the in-memory server", () => {
    const scope = Scope.makeUnsafe()
    const server = Effect.runSync(Scope.provide(MemoryServer.make(likeTheSharedServer), scope))
    afterAll(async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      assert.deepStrictEqual(server.defects, [])
      assert.strictEqual(server.connections.size, 0)
      // Recipes leave no watch behind.
      assert.deepStrictEqual(server.watches, [])
    })
    suite(name, ({ chroot = "", ...settings } = {}) =>
      layer({ hosts: `127.0.0.1:2181${chroot}`, dial: dial(server), ...settings }))
  })
}
