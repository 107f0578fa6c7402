/** What a tree cache promises, whatever server is behind the layer. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import * as TreeCache from "../../src/recipe/TreeCache.ts"
import type { Znode } from "../../src/Znode.ts"
import * as ZnodePath from "../../src/ZnodePath.ts"
import { type OperationError, type Options, type Service, ZooKeeper } from "../../src/ZooKeeper.ts"
import { record } from "../../src/testing/Recording.ts"

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

/** The behaviours against the servers of a layer; each build of it is another client. */
export const treeCache = (
  name: string,
  layer: (settings?: Partial<Options>) => Layer.Layer<ZooKeeper, OperationError>
): void => {
  const client = Effect.map(Layer.build(Layer.fresh(layer())), (context) => Context.get(context, ZooKeeper))

  const test = <E>(
    title: string,
    body: (world: {
      readonly zk: Service
      readonly changer: Service
      /** A znode of this test alone. */
      readonly root: string
      readonly make: (path: string, options?: TreeCache.Options) => Effect.Effect<
        TreeCache.TreeCache,
        TreeCache.TreeCacheError,
        Scope.Scope
      >
    }) => Effect.Effect<void, E, Scope.Scope>
  ) =>
    it.live(title, () =>
      Effect.gen(function*() {
        const zk = yield* client
        const changer = yield* client
        const root = yield* changer.create(`/tree-${randomUUID()}`)
        const make = (path: string, options?: TreeCache.Options) =>
          Effect.provideService(TreeCache.make(path, options), ZooKeeper, zk)
        yield* body({ zk, changer, root, make })
        yield* changer.deleteRecursive(root)
      }))

  describe(`${name}: TreeCache`, () => {
    test("holds the tree from the start, and whatever changes", ({ changer, make, root }) =>
      Effect.gen(function*() {
        yield* changer.create(`${root}/a`, "1")
        yield* changer.create(`${root}/a/b`, "2")
        const cache = yield* make(root)
        assert.deepStrictEqual(lines(yield* cache.snapshot), [`${root}/a/b=2`, `${root}/a=1`, `${root}=`].toSorted())
        yield* changer.set(`${root}/a`, "3")
        yield* changer.create(`${root}/a/b/c`, "4")
        yield* changer.create(`${root}/d`, "5")
        yield* changer.delete(`${root}/d`)
        yield* caughtUp(changer, cache)
        assert.deepStrictEqual(
          lines(yield* cache.snapshot),
          [`${root}=`, `${root}/a=3`, `${root}/a/b=2`, `${root}/a/b/c=4`].toSorted()
        )
        assert.deepStrictEqual(essence(yield* cache.snapshot), essence(yield* treeAt(changer, root)))
        const found = Option.getOrThrow(yield* cache.get(`${root}/a/b/c`))
        assert.strictEqual(decoder.decode(found.data), "4")
        assert.deepStrictEqual(yield* cache.children(root), Option.some(["a"]))
        assert.deepStrictEqual(yield* cache.children(`${root}/a/b/c`), Option.some([]))
        assert.deepStrictEqual(yield* cache.get(`${root}/d`), Option.none())
        assert.deepStrictEqual(yield* cache.children(`${root}/d`), Option.none())
      }))

    test("tells a snapshot and every change after it, with what was there before", ({ changer, make, root }) =>
      Effect.gen(function*() {
        yield* changer.create(`${root}/a`, "1")
        const cache = yield* make(root)
        const changes = yield* record(cache.changes)
        const first = yield* changes.next
        assert.strictEqual(brief(first), "Snapshot 2")
        yield* changer.set(`${root}/a`, "2")
        const updated = yield* changes.next
        assert.isTrue(updated._tag === "Updated" && updated.path === `${root}/a`)
        if (updated._tag === "Updated") {
          assert.strictEqual(decoder.decode(updated.previous.data), "1")
          assert.strictEqual(decoder.decode(updated.znode.data), "2")
        }
        yield* changer.create(`${root}/a/b`, "3")
        assert.strictEqual(brief(yield* changes.next), `Created ${root}/a/b`)
        yield* changer.delete(`${root}/a/b`)
        const deleted = yield* changes.next
        assert.isTrue(deleted._tag === "Deleted" && decoder.decode(deleted.previous.data) === "3")
        const late = yield* record(cache.changes)
        assert.strictEqual(brief(yield* late.next), "Snapshot 2")
      }))

    test("tells a parent before its children, and after them when they go", ({ changer, make, root }) =>
      Effect.gen(function*() {
        const cache = yield* make(root)
        const changes = yield* record(Stream.map(cache.changes, brief))
        yield* changes.next
        yield* changer.create(`${root}/a/b/c`, "", { makeParents: true })
        yield* changes.upTo((change) => change === `Created ${root}/a/b/c`)
        yield* changer.deleteRecursive(`${root}/a`)
        yield* changes.upTo((change) => change === `Deleted ${root}/a`)
        const order = (prefix: string) => changes.seen.filter((change) => change.startsWith(prefix))
        assert.deepStrictEqual(order("Created"), ["", "/b", "/b/c"].map((below) => `Created ${root}/a${below}`))
        assert.deepStrictEqual(order("Deleted"), ["/b/c", "/b", ""].map((below) => `Deleted ${root}/a${below}`))
      }))

    test("a znode that was deleted and created again is told as both", ({ changer, make, root }) =>
      Effect.gen(function*() {
        yield* changer.create(`${root}/a/b`, "1", { makeParents: true })
        const cache = yield* make(root)
        const changes = yield* record(Stream.map(cache.changes, brief))
        yield* changes.next
        yield* Effect.all([
          changer.delete(`${root}/a/b`),
          changer.delete(`${root}/a`),
          changer.create(`${root}/a`, "2"),
          changer.create(`${root}/a/c`, "3")
        ], { concurrency: "unbounded" })
        yield* changes.upTo((change) => change === `Created ${root}/a/c`)
        assert.deepStrictEqual(changes.seen.slice(1), [
          `Deleted ${root}/a/b`,
          `Deleted ${root}/a`,
          `Created ${root}/a`,
          `Created ${root}/a/c`
        ])
        assert.deepStrictEqual(essence(yield* cache.snapshot), essence(yield* treeAt(changer, root)))
      }))

    test("a root that is missing is waited for, and survives being deleted", ({ changer, make, root }) =>
      Effect.gen(function*() {
        const path = `${root}/later`
        const cache = yield* make(path)
        const changes = yield* record(Stream.map(cache.changes, brief))
        assert.strictEqual(yield* changes.next, "Snapshot 0")
        assert.deepStrictEqual(yield* cache.children(path), Option.none())
        for (let round = 0; round < 2; round++) {
          yield* changer.create(path)
          yield* changer.create(`${path}/x`)
          yield* changes.upTo((change) => change === `Created ${path}/x`)
          yield* changer.deleteRecursive(path)
          yield* changes.upTo((change) => change === `Deleted ${path}`)
        }
        assert.strictEqual((yield* cache.snapshot).size, 0)
      }))

    test("depth, filter and data bound what is kept", ({ changer, make, root }) =>
      Effect.gen(function*() {
        for (const path of ["a", "a/b", "a/b/c", "x", "x/y"]) yield* changer.create(`${root}/${path}`, "data")
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
        yield* changer.create(`${root}/a/new`)
        yield* changer.create(`${root}/z`)
        yield* changer.create(`${root}/z/deep`)
        yield* changer.set(root, "changed")
        for (const cache of [flat, shallow, filtered, bare]) yield* caughtUp(changer, cache)
        assert.deepStrictEqual(yield* below(flat), [""])
        assert.deepStrictEqual(lines(yield* flat.snapshot), [`${root}=changed`])
        assert.deepStrictEqual(yield* below(shallow), ["", "/a", "/x", "/z"])
        assert.deepStrictEqual(yield* below(filtered), ["", "/x", "/x/y", "/z", "/z/deep"])
        assert.strictEqual((yield* bare.snapshot).size, 9)
        yield* changer.deleteRecursive(root)
        for (const cache of [flat, shallow, filtered, bare]) {
          yield* caughtUp(changer, cache)
          assert.strictEqual((yield* cache.snapshot).size, 0)
        }
        yield* changer.create(root)
      }))

    test("the neighbour whose name begins alike does not belong to it", ({ changer, make, root }) =>
      Effect.gen(function*() {
        const cache = yield* make(`${root}/a`)
        yield* changer.create(`${root}/ab`)
        yield* changer.create(`${root}/ab/c`)
        yield* changer.create(`${root}/a`)
        yield* caughtUp(changer, cache)
        assert.deepStrictEqual([...(yield* cache.snapshot).keys()], [`${root}/a`])
      }))

    test("of a cache that is closed nothing is awaited", ({ changer, make, root }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const cache = yield* Scope.provide(make(root), scope)
        yield* Scope.close(scope, Exit.void)
        const { stat } = yield* changer.createWithStat(`${root}/unseen`)
        const awaiting = yield* Effect.forkChild(cache.awaitZxid(stat.mzxid))
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(awaiting)))
        const late = yield* Effect.forkChild(Scope.provide(make(root), scope))
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(late)))
      }))

    test("awaitZxid: own writes are seen at once, others' when they are there", ({ changer, make, root, zk }) =>
      Effect.gen(function*() {
        const cache = yield* make(root)
        for (let round = 0; round < 50; round++) {
          const writer = round % 2 === 0 ? zk : changer
          const { stat } = yield* writer.createWithStat(`${root}/n${round}`)
          yield* cache.awaitZxid(stat.mzxid)
          assert.isTrue(Option.isSome(yield* cache.get(`${root}/n${round}`)))
          const { mzxid } = yield* writer.set(`${root}/n${round}`, "x")
          yield* cache.awaitZxid(mzxid)
          assert.strictEqual(Option.getOrThrow(yield* cache.get(`${root}/n${round}`)).stat.mzxid, mzxid)
        }
        const { mzxid } = yield* changer.set(root, "")
        const waiting = yield* Effect.forkChild(cache.awaitZxid(mzxid + 1n))
        yield* cache.awaitZxid(mzxid)
        yield* changer.set(root, "later")
        yield* Fiber.join(waiting)
      }))

    test("states: the last one always arrives, those between may not", ({ changer, make, root }) =>
      Effect.gen(function*() {
        const cache = yield* make(root)
        const states = yield* record(Stream.map(cache.states, (nodes) => nodes.size))
        assert.strictEqual(yield* states.next, 1)
        yield* Effect.forEach(Array.from({ length: 100 }, (_, index) => index), (index) =>
          changer.create(`${root}/${index}`), { concurrency: "unbounded" })
        yield* states.upTo((size) => size === 101)
        assert.isBelow(states.seen.length, 103)
      }))

    test("a znode that may not be read counts as absent", ({ changer, make, root }) =>
      Effect.gen(function*() {
        yield* changer.create(`${root}/open`)
        yield* changer.create(`${root}/shut`)
        yield* changer.create(`${root}/shut/below`)
        const everything = yield* changer.getAcl(`${root}/open`)
        yield* changer.setAcl(`${root}/shut`, everything.acl.map((acl) => ({ ...acl, perms: 2 + 4 + 8 + 16 })))
        const cache = yield* make(root)
        assert.deepStrictEqual([...(yield* cache.snapshot).keys()].toSorted(), [root, `${root}/open`])
        const refused = yield* Effect.flip(Effect.scoped(make(`${root}/shut`)))
        assert.strictEqual(refused._tag, "NoAuth")
        yield* changer.setAcl(`${root}/shut`, everything.acl)
      }))

    test("a large tree is read in few requests", ({ changer, make, root }) =>
      Effect.gen(function*() {
        const names = Array.from({ length: 3000 }, (_, index) => `${root}/${index}`)
        yield* Effect.forEach(names, (path) => changer.create(path, path), { concurrency: 200, discard: true })
        const cache = yield* make(root)
        assert.deepStrictEqual(essence(yield* cache.snapshot), essence(yield* treeAt(changer, root)))
      }))

    test("bad arguments are refused", ({ make }) =>
      Effect.gen(function*() {
        const path = yield* Effect.flip(Effect.scoped(make("nowhere")))
        assert.strictEqual(path._tag, "BadArguments")
        const depth = yield* Effect.flip(Effect.scoped(make("/", { maxDepth: -1 })))
        assert.strictEqual(depth._tag, "BadArguments")
      }))

    test("ends its streams with its scope", ({ make, root }) =>
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
