/** Parties and groups on the real server; and when their sessions expire. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as GroupMember from "../../src/recipe/GroupMember.ts"
import * as Party from "../../src/recipe/Party.ts"
import * as ShallowParty from "../../src/recipe/ShallowParty.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { connect, proxy as makeProxy, root as makeRoot, shared, through, untilState } from "../support/Clients.ts"
import { record } from "../support/Recording.ts"
import { members } from "./members.ts"

describe.skipIf(shared === undefined)("a real server", () => {
  members("real", (settings) => ZooKeeper.layer({ hosts: shared ?? "", ...settings }))

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
