/** Parties and groups on every server; and when their sessions expire. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as GroupMember from "../../src/recipe/GroupMember.ts"
import * as Party from "../../src/recipe/Party.ts"
import * as ShallowParty from "../../src/recipe/ShallowParty.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { connect, proxy as makeProxy, root as makeRoot, shared, sharedHost, through, untilState } from "../support/Clients.ts"
import * as KazooPeer from "../support/KazooPeer.ts"
import { record } from "../../src/testing/Recording.ts"
import { onEveryServer } from "./servers.ts"
import { members } from "./members.ts"

onEveryServer(members)

describe.skipIf(shared === undefined)("members", () => {
  it.live("members come again, once, in a new session", () =>
    Effect.gen(function*() {
      const other = yield* connect()
      const root = yield* makeRoot(other)
      const proxy = yield* makeProxy
      const zk = yield* through(proxy, { sessionTimeout: "1 second", reconnect: Schedule.spaced("20 millis") })
      const as = Effect.provideService(ZooKeeper.ZooKeeper, zk)
      yield* as(Party.join(`${root}/party`, { identifier: "a" }))
      yield* as(ShallowParty.join(`${root}/shallow`, { identifier: "b" }))
      const group = yield* as(GroupMember.join(`${root}/group`, { id: "c" }))
      const seen = yield* record(Stream.provideService(Party.changes(`${root}/party`), ZooKeeper.ZooKeeper, other))
      yield* seen.next
      const expired = yield* Effect.forkChild(untilState(zk, "Expired"), { startImmediately: true })
      yield* proxy.refuse(true)
      proxy.cut()
      yield* Fiber.join(expired)
      assert.deepStrictEqual([...(yield* group.members).keys()], ["c"])
      yield* proxy.refuse(false)
      const { id } = yield* zk.session
      for (const at of ["party", "shallow", "group"]) {
        yield* Stream.runHead(Stream.filterEffect(other.childrenChanges(`${root}/${at}`), () =>
          Effect.map(other.getChildren(`${root}/${at}`), (names) => names.length === 1)))
        const [name] = yield* other.getChildren(`${root}/${at}`)
        yield* Stream.runHead(Stream.filter(other.changes(`${root}/${at}/${name}`), (znode) =>
          znode._tag === "Some" && znode.value.stat.ephemeralOwner === id))
      }
      // Nobody was counted twice meanwhile.
      for (const members of seen.seen) assert.isBelow(members.length, 2)
    }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")), 60_000)
})

describe.skipIf(shared === undefined || !KazooPeer.isInstalled)("mixed with kazoo", () => {
  for (const [kind, command, party] of [["Party", "party", Party], ["ShallowParty", "shallowParty", ShallowParty]] as const) {
    it.live(`${kind}: each sees the other come and go`, () =>
      Effect.gen(function*() {
        const zk = yield* connect()
        const root = yield* makeRoot(zk)
        const as = Effect.provideService(ZooKeeper.ZooKeeper, zk)
        const path = `${root}/party`
        const kazoo = yield* KazooPeer.make(sharedHost)
        yield* kazoo.run(command, { as: "p", path, identifier: "kazoo-1" })
        yield* kazoo.run("join", { as: "p" })
        const seen = yield* record(Stream.provideService(party.changes(path), ZooKeeper.ZooKeeper, zk))
        assert.deepStrictEqual(yield* seen.next, ["kazoo-1"])
        const scope = yield* Scope.make()
        yield* Scope.provide(as(party.join(path, { identifier: "\u00fc-ours" })), scope)
        yield* seen.upTo((members) => members.length === 2)
        assert.deepStrictEqual(yield* kazoo.run("members", { as: "p" }), ["kazoo-1", "\u00fc-ours"])
        yield* kazoo.run("leave", { as: "p" })
        yield* seen.upTo((members) => members.join() === "\u00fc-ours")
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* kazoo.run("members", { as: "p" }), [])
      }), 60_000)
  }
})
