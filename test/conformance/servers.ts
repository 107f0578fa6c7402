/** The servers that every recipe's suite runs on: the in-memory one, and the real one where there is one. */
import { afterAll, assert, inject } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as MemoryServer from "../../src/memory/Server.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { dial } from "../memory/dial.ts"
import { likeTheSharedServer } from "../memory/settings.ts"

export const onEveryServer = (suite: (title: string, connect: Connect) => void): void => {
  const hosts = inject("zookeeper")
  if (hosts !== undefined) {
    suite("real server", ({ chroot = "", ...settings } = {}) =>
      ZooKeeper.layer({ hosts: `${hosts}${chroot}`, ...settings }))
  }
  const scope = Scope.makeUnsafe()
  const server = Effect.runSync(Scope.provide(MemoryServer.make(likeTheSharedServer), scope))
  suite("in-memory server", ({ chroot = "", ...settings } = {}) =>
    ZooKeeper.layer({ hosts: `127.0.0.1:2181${chroot}`, dial: dial(server), ...settings }))
  afterAll(async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    assert.deepStrictEqual(server.defects, [])
    // Nobody has left a watch behind.
    assert.deepStrictEqual(server.watches, [])
  })
}
