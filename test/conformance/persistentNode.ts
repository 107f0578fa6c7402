/** What a node that stays promises, whatever server is behind the layer. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Acl from "../../src/Acl.ts"
import * as PersistentNode from "../../src/recipe/PersistentNode.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { record, text } from "../../src/testing/Recording.ts"
import { tests } from "./clients.ts"

const { none, some } = Option

const until = (node: PersistentNode.PersistentNode, tag: PersistentNode.State["_tag"]) =>
  Stream.runHead(Stream.filter(node.states, (state) => state._tag === tag))

/** The behaviours against a server; each connection is another client. */
export const persistentNode = (name: string, connect: Connect): void => {
  const test = tests(connect)

  const { make } = PersistentNode

  describe(`${name}: PersistentNode`, () => {
    test("is there as long as its scope, with missing parents", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const path = `${root}/some/where`
        yield* Effect.scoped(Effect.gen(function*() {
          const node = yield* make(path, "here")
          assert.strictEqual(node.path, path)
          const { data, stat } = yield* other.get(path)
          assert.deepStrictEqual(text(some({ data })), some("here"))
          assert.strictEqual(stat.ephemeralOwner, (yield* zk.session).id)
          assert.strictEqual((yield* node.state)._tag, "Present")
        }))
        assert.deepStrictEqual(yield* other.exists(path), none())
      }))

    test("is restored when it was deleted or overwritten", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        const states = yield* record(Stream.map(other.changes(path), text))
        yield* states.next
        const node = yield* make(path, "mine")
        assert.deepStrictEqual(yield* states.next, some("mine"))
        for (let round = 0; round < 3; round++) {
          const { czxid } = Option.getOrThrow(yield* other.exists(path))
          yield* other.delete(path)
          yield* Stream.runHead(
            Stream.filter(other.changes(path), (znode) => Option.isSome(znode) && znode.value.stat.czxid > czxid)
          )
        }
        yield* other.set(path, "yours")
        yield* Stream.runHead(Stream.filter(other.changes(path), (znode) =>
          Option.contains(text(znode), "mine") && Option.getOrThrow(znode).stat.version === 2))
        yield* until(node, "Present")
      }))

    test("nothing is written where everything is right", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        const node = yield* make(path, "mine")
        const before = (yield* other.get(path)).stat
        yield* node.set("mine")
        yield* node.set("mine")
        assert.deepStrictEqual((yield* other.get(path)).stat, before)
      }))

    test("set writes, and the data survives a deletion", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        const node = yield* make(path, "1")
        yield* Effect.all([node.set("2"), node.set("3"), node.set("4")], { concurrency: "unbounded" })
        assert.deepStrictEqual(text(some(yield* other.get(path))), some("4"))
        yield* other.delete(path)
        yield* Stream.runHead(Stream.filter(other.changes(path), (znode) => Option.contains(text(znode), "4")))
      }))

    test("data that the server does not take is refused, and the node stays", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        const node = yield* make(path, "1")
        const error = yield* Effect.flip(node.set("x".repeat(2 * 1024 * 1024)))
        assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "TooLarge")
        yield* node.set("2")
        assert.deepStrictEqual(text(some(yield* other.get(path))), some("2"))
      }))

    test("a znode of somebody else is waited for, and never touched", ({ other, root }) =>
      Effect.gen(function*() {
        for (const mode of ["ephemeral", "persistent"] as const) {
          const path = `${root}/${mode}`
          yield* other.create(path, "theirs", { mode: mode === "ephemeral" ? "persistent" : "ephemeral" })
          const before = (yield* other.get(path)).stat
          const making = yield* Effect.forkChild(make(path, "ours", { mode }))
          yield* other.set(root, "something happens meanwhile")
          yield* Effect.sleep("50 millis")
          assert.deepStrictEqual((yield* other.get(path)).stat, before)
          yield* other.delete(path)
          yield* Fiber.join(making)
          assert.deepStrictEqual(text(some(yield* other.get(path))), some("ours"))
        }
      }))

    test("interrupted while it waits it leaves what is there alone", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        yield* other.create(path, "theirs")
        const making = yield* Effect.forkChild(make(path, "ours"))
        yield* Effect.sleep("50 millis")
        yield* Fiber.interrupt(making)
        assert.deepStrictEqual(text(some(yield* other.get(path))), some("theirs"))
        yield* other.delete(path)
        yield* other.sync(path)
        assert.deepStrictEqual(yield* other.exists(path), none())
      }))

    test("who waits for it when its scope closes, or later, is interrupted", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        yield* other.create(path, "theirs")
        const scope = yield* Scope.make()
        const making = yield* Effect.forkChild(Scope.provide(make(path, "ours"), scope), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(making)))
        const node = yield* Effect.scoped(make(`${root}/b`))
        const setting = yield* Effect.forkChild(node.set("too late"))
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(setting)))
        assert.deepStrictEqual(yield* other.exists(`${root}/b`), none())
      }))

    test("replace takes the place at the beginning, and only then", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        yield* other.create(path, "theirs", { mode: "ephemeral" })
        const node = yield* make(path, "ours", { existing: "replace" })
        assert.deepStrictEqual(text(some(yield* other.get(path))), some("ours"))
        const takeBack = Effect.andThen(other.delete(path), other.create(path, "back", { mode: "ephemeral" }))
        // Whoever is first: restoring may win the race.
        yield* Effect.retry(takeBack, { while: (error) => error._tag === "NodeExists" || error._tag === "NoNode" })
        const waiting = yield* until(node, "Waiting")
        assert.strictEqual(Option.getOrThrow(waiting)._tag, "Waiting")
        assert.deepStrictEqual(text(some(yield* other.get(path))), some("back"))
        const kept = yield* other.create(`${root}/kept`, "old")
        const before = (yield* other.get(kept)).stat
        yield* make(kept, "new", { mode: "persistent", existing: "replace" })
        const after = yield* other.get(kept)
        assert.deepStrictEqual(text(some(after)), some("new"))
        assert.strictEqual(after.stat.czxid, before.czxid)
      }))

    test("a sequential node keeps its name", ({ other, root }) =>
      Effect.gen(function*() {
        for (const mode of ["ephemeralSequential", "persistentSequential"] as const) {
          const parent = yield* other.create(`${root}/${mode}`)
          yield* Effect.scoped(Effect.gen(function*() {
            const first = yield* make(`${parent}/n-`, "1", { mode })
            const second = yield* make(`${parent}/n-`, "2", { mode, protected: false })
            assert.match(first.path, /\/_c_[0-9a-f-]{36}-n-0000000000$/)
            assert.match(second.path, /\/n-0000000001$/)
            yield* other.delete(first.path)
            yield* Stream.runHead(Stream.filter(other.changes(first.path), Option.isSome))
            assert.strictEqual((yield* other.getChildren(parent)).length, 2)
          }))
          assert.deepStrictEqual(yield* other.getChildren(parent), [])
        }
      }))

    test("a persistent node goes with its scope, unless it shall stay", ({ other, root }) =>
      Effect.gen(function*() {
        yield* Effect.scoped(make(`${root}/goes`, "", { mode: "persistent" }))
        yield* Effect.scoped(make(`${root}/stays`, "", { mode: "persistent", onClose: "keep" }))
        assert.deepStrictEqual(yield* other.getChildren(root), ["stays"])
      }))

    test("what cannot be repaired fails it, typed, without a loop", ({ other, root }) =>
      Effect.gen(function*() {
        const shut = yield* other.create(`${root}/shut`, "", { acl: Acl.readUnsafe })
        const error = yield* Effect.flip(Effect.scoped(make(`${shut}/a`)))
        assert.strictEqual(error._tag, "NoAuth")
        const ephemeral = yield* other.create(`${root}/ephemeral`, "", { mode: "ephemeral" })
        const barren = yield* Effect.flip(Effect.scoped(make(`${ephemeral}/a`)))
        assert.strictEqual(barren._tag, "NoChildrenForEphemerals")
        const malformed = yield* Effect.flip(Effect.scoped(make("a")))
        assert.strictEqual(malformed._tag, "BadArguments")
        // Later: deleted, and may not be made again.
        const parent = yield* other.create(`${root}/parent`)
        const node = yield* make(`${parent}/a`)
        const acl = [Acl.world(["read", "delete"])]
        yield* other.setAcl(parent, acl)
        yield* other.delete(`${parent}/a`)
        const late = yield* Effect.flip(node.failure)
        assert.strictEqual(late._tag, "NoAuth")
        assert.strictEqual((yield* node.state)._tag, "Failed")
        assert.strictEqual((yield* Effect.flip(node.set("x")))._tag, "NoAuth")
      }))

    test("ends, set included, when the client is closed", ({ client, other, root }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const zk = yield* Scope.provide(client(), scope)
        const node = yield* Effect.provideService(PersistentNode.make(`${root}/a`), ZooKeeper, zk)
        yield* Scope.close(scope, Exit.void)
        const error = yield* Effect.flip(node.failure)
        assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "Closed")
        assert.strictEqual((yield* Effect.flip(node.set("x")))._tag, "ConnectionError")
        assert.deepStrictEqual(yield* other.exists(`${root}/a`), none())
      }))
  })
}
