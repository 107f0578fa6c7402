/** What a tree cache promises, whatever server is behind the layer. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TreeCache from "../../src/recipe/TreeCache.ts"
import type { Znode } from "../../src/Znode.ts"
import * as ZnodePath from "../../src/ZnodePath.ts"
import type { OperationError, Service } from "../../src/ZooKeeper.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { record } from "../../src/testing/Recording.ts"
import { tests } from "./clients.ts"

const decoder = new TextDecoder()

/** `/a=text`, sorted. */
const lines = (nodes: ReadonlyMap<string, Znode>): ReadonlyArray<string> =>
  Array.from(nodes, ([path, { data }]) => `${path}=${decoder.decode(data)}`).toSorted()

const brief = (change: TreeCache.Change): string =>
  change._tag === "Snapshot" ? `Snapshot ${change.nodes.size}` : `${change._tag} ${change.path}`

/** The tree as it is on the server, read node by node. */
export const treeAt = (zk: Service, path: string): Effect.Effect<ReadonlyMap<string, Znode>, OperationError> =>
  Effect.gen(function*() {
    const nodes = new Map<string, Znode>()
    const read = (at: string): Effect.Effect<void, OperationError> =>
      Effect.gen(function*() {
        nodes.set(at, yield* zk.get(at))
        const names = yield* zk.getChildren(at)
        yield* Effect.forEach(names, (name) => read(ZnodePath.join(at, name)), { concurrency: 16, discard: true })
      }).pipe(Effect.catchTag(["NoNode", "NoAuth"], () => Effect.void))
    yield* read(path)
    return nodes
  })

/** What a cache must agree on with the tree. */
export const essence = (nodes: ReadonlyMap<string, Znode>): ReadonlyArray<string> =>
  Array.from(nodes, ([path, { data, stat }]) =>
    `${path} ${stat.czxid} ${stat.mzxid} ${stat.version} ${decoder.decode(data)}`).toSorted()

/** The cache has seen everything that the changer has done so far. */
const caughtUp = (changer: Service, cache: TreeCache.TreeCache) =>
  Effect.gen(function*() {
    const { mzxid } = yield* changer.createWithStat(`${cache.path}-mark`).pipe(
      Effect.map(({ stat }) => stat),
      Effect.tap(() => changer.delete(`${cache.path}-mark`))
    )
    yield* cache.awaitZxid(mzxid)
  })

/** The behaviours against a server; each connection is another client. */
export const treeCache = (name: string, connect: Connect): void => {
  const test = tests(connect)

  const { make } = TreeCache

  describe(`${name}: TreeCache`, () => {
    test("holds the tree from the start, and whatever changes", ({ other, root }) =>
      Effect.gen(function*() {
        yield* other.create(`${root}/a`, "1")
        yield* other.create(`${root}/a/b`, "2")
        const cache = yield* make(root)
        assert.deepStrictEqual(lines(yield* cache.snapshot), [`${root}/a/b=2`, `${root}/a=1`, `${root}=`].toSorted())
        yield* other.set(`${root}/a`, "3")
        yield* other.create(`${root}/a/b/c`, "4")
        yield* other.create(`${root}/d`, "5")
        yield* other.delete(`${root}/d`)
        yield* caughtUp(other, cache)
        assert.deepStrictEqual(
          lines(yield* cache.snapshot),
          [`${root}=`, `${root}/a=3`, `${root}/a/b=2`, `${root}/a/b/c=4`].toSorted()
        )
        assert.deepStrictEqual(essence(yield* cache.snapshot), essence(yield* treeAt(other, root)))
        const found = Option.getOrThrow(yield* cache.get(`${root}/a/b/c`))
        assert.strictEqual(decoder.decode(found.data), "4")
        assert.deepStrictEqual(yield* cache.children(root), Option.some(["a"]))
        assert.deepStrictEqual(yield* cache.children(`${root}/a/b/c`), Option.some([]))
        assert.deepStrictEqual(yield* cache.get(`${root}/d`), Option.none())
        assert.deepStrictEqual(yield* cache.children(`${root}/d`), Option.none())
      }))

    test("tells a snapshot and every change after it, with what was there before", ({ other, root }) =>
      Effect.gen(function*() {
        yield* other.create(`${root}/a`, "1")
        const cache = yield* make(root)
        const changes = yield* record(cache.changes)
        const first = yield* changes.next
        assert.strictEqual(brief(first), "Snapshot 2")
        yield* other.set(`${root}/a`, "2")
        const updated = yield* changes.next
        assert.isTrue(updated._tag === "Updated" && updated.path === `${root}/a`)
        if (updated._tag === "Updated") {
          assert.strictEqual(decoder.decode(updated.previous.data), "1")
          assert.strictEqual(decoder.decode(updated.znode.data), "2")
        }
        yield* other.create(`${root}/a/b`, "3")
        assert.strictEqual(brief(yield* changes.next), `Created ${root}/a/b`)
        yield* other.delete(`${root}/a/b`)
        const deleted = yield* changes.next
        assert.isTrue(deleted._tag === "Deleted" && decoder.decode(deleted.previous.data) === "3")
        const late = yield* record(cache.changes)
        assert.strictEqual(brief(yield* late.next), "Snapshot 2")
      }))

    test("tells a parent before its children, and after them when they go", ({ other, root }) =>
      Effect.gen(function*() {
        const cache = yield* make(root)
        const changes = yield* record(Stream.map(cache.changes, brief))
        yield* changes.next
        yield* other.create(`${root}/a/b/c`, "", { makeParents: true })
        yield* changes.upTo((change) => change === `Created ${root}/a/b/c`)
        yield* other.deleteRecursive(`${root}/a`)
        yield* changes.upTo((change) => change === `Deleted ${root}/a`)
        const order = (prefix: string) => changes.seen.filter((change) => change.startsWith(prefix))
        assert.deepStrictEqual(order("Created"), ["", "/b", "/b/c"].map((below) => `Created ${root}/a${below}`))
        assert.deepStrictEqual(order("Deleted"), ["/b/c", "/b", ""].map((below) => `Deleted ${root}/a${below}`))
      }))

    test("a znode that was deleted and created again is told as both", ({ other, root }) =>
      Effect.gen(function*() {
        yield* other.create(`${root}/a/b`, "1", { makeParents: true })
        const cache = yield* make(root)
        const changes = yield* record(Stream.map(cache.changes, brief))
        yield* changes.next
        yield* Effect.all([
          other.delete(`${root}/a/b`),
          other.delete(`${root}/a`),
          other.create(`${root}/a`, "2"),
          other.create(`${root}/a/c`, "3")
        ], { concurrency: "unbounded" })
        yield* changes.upTo((change) => change === `Created ${root}/a/c`)
        assert.deepStrictEqual(changes.seen.slice(1), [
          `Deleted ${root}/a/b`,
          `Deleted ${root}/a`,
          `Created ${root}/a`,
          `Created ${root}/a/c`
        ])
        assert.deepStrictEqual(essence(yield* cache.snapshot), essence(yield* treeAt(other, root)))
      }))

    test("a root that is missing is waited for, and survives being deleted", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/later`
        const cache = yield* make(path)
        const changes = yield* record(Stream.map(cache.changes, brief))
        assert.strictEqual(yield* changes.next, "Snapshot 0")
        assert.deepStrictEqual(yield* cache.children(path), Option.none())
        for (let round = 0; round < 2; round++) {
          yield* other.create(path)
          yield* other.create(`${path}/x`)
          yield* changes.upTo((change) => change === `Created ${path}/x`)
          yield* other.deleteRecursive(path)
          yield* changes.upTo((change) => change === `Deleted ${path}`)
        }
        assert.strictEqual((yield* cache.snapshot).size, 0)
      }))

    test("depth, filter and data bound what is kept", ({ other, root }) =>
      Effect.gen(function*() {
        for (const path of ["a", "a/b", "a/b/c", "x", "x/y"]) yield* other.create(`${root}/${path}`, "data")
        const flat = yield* make(root, { maxDepth: 0 })
        const shallow = yield* make(root, { maxDepth: 1 })
        const filtered = yield* make(root, { filter: (path) => !path.endsWith("/a") })
        const bare = yield* make(root, { data: false })
        const below = (cache: TreeCache.TreeCache) =>
          Effect.map(cache.snapshot, (nodes) => [...nodes.keys()].map((path) => path.slice(root.length)).toSorted())
        assert.deepStrictEqual(yield* below(flat), [""])
        assert.deepStrictEqual(yield* below(shallow), ["", "/a", "/x"])
        assert.deepStrictEqual(yield* below(filtered), ["", "/x", "/x/y"])
        assert.strictEqual((yield* bare.snapshot).size, 6)
        for (const { data, stat } of (yield* bare.snapshot).values()) {
          assert.strictEqual(data.length, 0)
          assert.isTrue(stat.mzxid > 0n)
        }
        yield* other.create(`${root}/a/new`)
        yield* other.create(`${root}/z`)
        yield* other.create(`${root}/z/deep`)
        yield* other.set(root, "changed")
        for (const cache of [flat, shallow, filtered, bare]) yield* caughtUp(other, cache)
        assert.deepStrictEqual(yield* below(flat), [""])
        assert.deepStrictEqual(lines(yield* flat.snapshot), [`${root}=changed`])
        assert.deepStrictEqual(yield* below(shallow), ["", "/a", "/x", "/z"])
        assert.deepStrictEqual(yield* below(filtered), ["", "/x", "/x/y", "/z", "/z/deep"])
        assert.strictEqual((yield* bare.snapshot).size, 9)
        yield* other.deleteRecursive(root)
        for (const cache of [flat, shallow, filtered, bare]) {
          yield* caughtUp(other, cache)
          assert.strictEqual((yield* cache.snapshot).size, 0)
        }
        yield* other.create(root)
      }))

    test("the neighbour whose name begins alike does not belong to it", ({ other, root }) =>
      Effect.gen(function*() {
        const cache = yield* make(`${root}/a`)
        yield* other.create(`${root}/ab`)
        yield* other.create(`${root}/ab/c`)
        yield* other.create(`${root}/a`)
        yield* caughtUp(other, cache)
        assert.deepStrictEqual([...(yield* cache.snapshot).keys()], [`${root}/a`])
      }))

    test("of a cache that is closed nothing is awaited", ({ other, root }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const cache = yield* Scope.provide(make(root), scope)
        yield* Scope.close(scope, Exit.void)
        const { stat } = yield* other.createWithStat(`${root}/unseen`)
        const awaiting = yield* Effect.forkChild(cache.awaitZxid(stat.mzxid))
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(awaiting)))
        const late = yield* Effect.forkChild(Scope.provide(make(root), scope))
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(late)))
      }))

    test("awaitZxid: own writes are seen at once, others' when they are there", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const cache = yield* make(root)
        for (let round = 0; round < 50; round++) {
          const writer = round % 2 === 0 ? zk : other
          const { stat } = yield* writer.createWithStat(`${root}/n${round}`)
          yield* cache.awaitZxid(stat.mzxid)
          assert.isTrue(Option.isSome(yield* cache.get(`${root}/n${round}`)))
          const { mzxid } = yield* writer.set(`${root}/n${round}`, "x")
          yield* cache.awaitZxid(mzxid)
          assert.strictEqual(Option.getOrThrow(yield* cache.get(`${root}/n${round}`)).stat.mzxid, mzxid)
        }
        const { mzxid } = yield* other.set(root, "")
        const waiting = yield* Effect.forkChild(cache.awaitZxid(mzxid + 1n))
        yield* cache.awaitZxid(mzxid)
        yield* other.set(root, "later")
        yield* Fiber.join(waiting)
      }))

    test("states: the last one always arrives, those between may not", ({ other, root }) =>
      Effect.gen(function*() {
        const cache = yield* make(root)
        const states = yield* record(Stream.map(cache.states, (nodes) => nodes.size))
        assert.strictEqual(yield* states.next, 1)
        yield* Effect.forEach(Array.from({ length: 100 }, (_, index) => index), (index) =>
          other.create(`${root}/${index}`), { concurrency: "unbounded" })
        yield* states.upTo((size) => size === 101)
        assert.isBelow(states.seen.length, 103)
      }))

    test("a znode that may not be read counts as absent", ({ other, root }) =>
      Effect.gen(function*() {
        yield* other.create(`${root}/open`)
        yield* other.create(`${root}/shut`)
        yield* other.create(`${root}/shut/below`)
        const everything = yield* other.getAcl(`${root}/open`)
        yield* other.setAcl(`${root}/shut`, everything.acl.map((acl) => ({ ...acl, perms: 2 + 4 + 8 + 16 })))
        const cache = yield* make(root)
        assert.deepStrictEqual([...(yield* cache.snapshot).keys()].toSorted(), [root, `${root}/open`])
        const refused = yield* Effect.flip(Effect.scoped(make(`${root}/shut`)))
        assert.strictEqual(refused._tag, "NoAuth")
        yield* other.setAcl(`${root}/shut`, everything.acl)
      }))

    test("a large tree is read in few requests", ({ other, root }) =>
      Effect.gen(function*() {
        const names = Array.from({ length: 3000 }, (_, index) => `${root}/${index}`)
        yield* Effect.forEach(names, (path) => other.create(path, path), { concurrency: 200, discard: true })
        const cache = yield* make(root)
        assert.deepStrictEqual(essence(yield* cache.snapshot), essence(yield* treeAt(other, root)))
      }))

    test("bad arguments are refused", () =>
      Effect.gen(function*() {
        const path = yield* Effect.flip(Effect.scoped(make("nowhere")))
        assert.strictEqual(path._tag, "BadArguments")
        const depth = yield* Effect.flip(Effect.scoped(make("/", { maxDepth: -1 })))
        assert.strictEqual(depth._tag, "BadArguments")
      }))

    test("ends its streams with its scope", ({ root }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const cache = yield* Scope.provide(make(root), scope)
        const changes = yield* record(cache.changes)
        const states = yield* record(cache.states)
        const waiting = yield* Effect.forkChild(cache.awaitZxid(2n ** 62n), { startImmediately: true })
        yield* changes.next
        yield* states.next
        yield* Scope.close(scope, Exit.void)
        yield* changes.end
        yield* states.end
        yield* Fiber.interrupt(waiting)
        yield* (yield* record(cache.changes)).end
      }))
  })
}
