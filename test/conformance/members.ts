/** What parties and groups promise, whatever server is behind the layer. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as GroupMember from "../../src/recipe/GroupMember.ts"
import * as Party from "../../src/recipe/Party.ts"
import * as ShallowParty from "../../src/recipe/ShallowParty.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { record } from "../../src/testing/Recording.ts"
import { of, tests } from "./clients.ts"

const decoder = new TextDecoder()

/** `id=payload`, sorted. */
const lines = (members: ReadonlyMap<string, Uint8Array>): ReadonlyArray<string> =>
  Array.from(members, ([id, data]) => `${id}=${decoder.decode(data)}`).toSorted()

/** The behaviours against a server; each connection is another client. */
export const members = (name: string, connect: Connect): void => {
  const test = tests(connect)

  describe(`${name}: parties and groups`, () => {
    for (const [kind, party] of [["Party", Party], ["ShallowParty", ShallowParty]] as const) {
      test(`${kind}: members come and go with their scopes`, ({ other, root, zk }) =>
        Effect.gen(function*() {
          const path = `${root}/party`
          assert.deepStrictEqual(yield* of(zk, party.members(path)), [])
          const changes = yield* record(
            Stream.provideService(party.changes(path), ZooKeeper, other)
          )
          assert.deepStrictEqual(yield* changes.next, [])
          const scope = yield* Scope.make()
          yield* Scope.provide(of(zk, party.join(path, { identifier: "a" })), scope)
          yield* changes.upTo((members) => members.join() === "a")
          yield* of(other, party.join(path, { identifier: "b-b" }))
          yield* changes.upTo((members) => members.join() === "a,b-b")
          assert.deepStrictEqual(yield* of(zk, party.members(path)), ["a", "b-b"])
          yield* of(zk, party.join(path, { identifier: "b-b" }))
          yield* changes.upTo((members) => members.join() === "a,b-b,b-b")
          yield* Scope.close(scope, Exit.void)
          yield* changes.upTo((members) => members.join() === "b-b,b-b")
        }))
    }

    test("Party: the layout is kazoo's", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const { path } = yield* of(zk, Party.join(root, { identifier: "wörker" }))
        assert.match(path.slice(root.length), /^\/[0-9a-f]{32}__party__$/)
        const { data, stat } = yield* other.get(path)
        assert.strictEqual(decoder.decode(data), "wörker")
        assert.strictEqual(stat.ephemeralOwner, (yield* zk.session).id)
        yield* other.create(`${root}/something-else`, "no member")
        assert.deepStrictEqual(yield* of(other, Party.members(root)), ["wörker"])
      }))

    test("ShallowParty: the layout is kazoo's", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const { path } = yield* of(zk, ShallowParty.join(root, { identifier: "host-17" }))
        assert.match(path.slice(root.length), /^\/[0-9a-f]{32}-host-17$/)
        const { data, stat } = yield* other.get(path)
        assert.strictEqual(data.length, 0)
        assert.strictEqual(stat.ephemeralOwner, (yield* zk.session).id)
        const slash = yield* Effect.flip(Effect.scoped(of(zk, ShallowParty.join(root, { identifier: "a/b" }))))
        assert.strictEqual(slash._tag, "BadArguments")
      }))

    test("GroupMember: everyone knows everyone, payloads included", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const path = `${root}/group`
        const one = yield* of(zk, GroupMember.join(path, { id: "one", data: "1" }))
        const changes = yield* record(Stream.map(one.changes, lines))
        yield* changes.upTo((members) => members.join() === "one=1")
        const scope = yield* Scope.make()
        const two = yield* Scope.provide(of(other, GroupMember.join(path, { id: "two", data: "2" })), scope)
        yield* changes.upTo((members) => members.join() === "one=1,two=2")
        assert.deepStrictEqual(lines(yield* two.members), ["one=1", "two=2"])
        yield* two.set("II")
        yield* changes.upTo((members) => members.join() === "one=1,two=II")
        yield* one.set("I")
        yield* changes.upTo((members) => members.join() === "one=I,two=II")
        yield* Scope.close(scope, Exit.void)
        yield* changes.upTo((members) => members.join() === "one=I")
        const { stat } = yield* other.get(`${path}/one`)
        assert.strictEqual(stat.ephemeralOwner, (yield* zk.session).id)
      }))

    test("GroupMember: an id is taken once; a member counts itself whatever happens", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const first = yield* of(zk, GroupMember.join(root, { id: "a", data: "first" }))
        const second = yield* of(other, GroupMember.join(root, { id: "a", data: "second", existing: "replace" }))
        assert.deepStrictEqual(lines(yield* second.members), ["a=second"])
        yield* other.delete(`${root}/a`)
        for (const { members } of [first, second]) assert.deepStrictEqual([...(yield* members).keys()], ["a"])
        const slash = yield* Effect.flip(Effect.scoped(of(zk, GroupMember.join(root, { id: "a/b" }))))
        assert.strictEqual(slash._tag, "BadArguments")
      }))
  })
}
