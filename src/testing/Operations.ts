/**
 * What every operation does, against any server: each test has a znode of its
 * own under the root, and leaves nothing behind.
 */
import { assert, layer as shared } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Acl from "../Acl.ts"
import * as Transaction from "../Transaction.ts"
import type { CreateMode, Stat, Znode } from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type Service, ZooKeeper } from "../ZooKeeper.ts"
import {
  BadArguments,
  BadVersion,
  ConnectionError,
  InvalidAcl,
  NoAuth,
  NoChildrenForEphemerals,
  NodeExists,
  NoNode,
  NotEmpty,
  QuotaExceeded,
  type TransactionFailed
} from "../ZooKeeperError.ts"
import type { Connect, Settings } from "./Connect.ts"

const text = (data: Uint8Array): string => new TextDecoder().decode(data)

/** The operation fails with just this error. That it can is checked by its type. */
const refused = <A, E extends object, R>(
  effect: Effect.Effect<A, E, R>,
  expected: NoInfer<E>
): Effect.Effect<void, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.strictEqual(error.constructor, expected.constructor, String(error))
    assert.deepStrictEqual({ ...error }, { ...expected })
  })

/** The operation is refused because of an argument. */
const refusesArgument = <A, E, R>(effect: Effect.Effect<A, E, R>, argument: string): Effect.Effect<void, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    if (!(error instanceof BadArguments)) return assert.fail(`not BadArguments but ${String(error)}`)
    assert.strictEqual(error.argument, argument, error.message)
  })

const tagOf = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>): Effect.Effect<string> =>
  Effect.match(effect, { onFailure: (error) => error._tag, onSuccess: () => "ok" })

const culprit = <A, E extends { readonly _tag: string }>(
  effect: Effect.Effect<A, E | TransactionFailed>
): Effect.Effect<readonly [index: number, path: string, tag: string], A> =>
  Effect.map(Effect.flip(effect), (error) =>
    "index" in error ? [error.index, error.path, error.error._tag] as const : assert.fail(String(error)))

const sorted = (names: ReadonlyArray<string>): ReadonlyArray<string> => names.toSorted()

/** What `getMany` found, one line each. */
const shown = (reads: ReadonlyArray<Result.Result<Znode, NoNode | NoAuth>>): ReadonlyArray<string> =>
  reads.map(Result.match({
    onFailure: ({ _tag, path }) => `${_tag} ${path}`,
    onSuccess: ({ data }) => text(data)
  }))

const ids = (acl: ReadonlyArray<Acl.Acl>): ReadonlyArray<string> => sorted(acl.map(({ id }) => id.id))

const some = <A>(option: Option.Option<A>): A => Option.getOrThrow(option)

/** A znode for one test, gone with all below it when the test ends. */
const rootOf = (zk: Service): Effect.Effect<string, Effect.Error<ReturnType<Service["create"]>>, Scope.Scope> =>
  Effect.acquireRelease(
    zk.create(`/operations-${globalThis.crypto.randomUUID()}`),
    (path) => Effect.orDie(Effect.catchTag(zk.deleteRecursive(path), "NoNode", () => Effect.void))
  )

const here = Effect.gen(function*() {
  const zk = yield* ZooKeeper
  return { zk, root: yield* rootOf(zk) }
})

const present = (zk: Service, path: string): Effect.Effect<boolean, never> =>
  Effect.orDie(Effect.map(zk.exists(path), Option.isSome))

/** Collects the states of a client, to see that its connection was never lost. */
const statesOf = (zk: Service) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    const subscribed = yield* Deferred.make<void>()
    yield* Effect.forkScoped(Stream.runForEach(zk.states, ({ _tag }) => {
      seen.push(_tag)
      return Deferred.succeed(subscribed, undefined)
    }))
    yield* Deferred.await(subscribed)
    return seen
  })

const badPaths = [
  "",
  "relative",
  "/a/",
  "//",
  "/a//b",
  "/.",
  "/a/..",
  "/a/./b",
  "/a\u0000",
  "/a\u001f",
  "/a\u0085",
  "/\ud83d\ude00",
  "/\ue000",
  "/\uffff"
]

const badVersions = [0.5, Number.NaN, 2 ** 31, -(2 ** 31) - 1, Number.POSITIVE_INFINITY]

const badAcls: ReadonlyArray<ReadonlyArray<Acl.Acl>> = [
  [],
  [{ perms: 32, id: { scheme: "world", id: "anyone" } }],
  [{ perms: -1, id: { scheme: "world", id: "anyone" } }],
  [{ perms: 1.5, id: { scheme: "world", id: "anyone" } }],
  [{ perms: 31, id: { scheme: "world", id: "somebody" } }],
  [{ perms: 31, id: { scheme: "digest", id: "nohash" } }],
  // As a server shows it to those who may only read.
  [{ perms: 31, id: { scheme: "digest", id: "alice:x" } }]
]

const badTtls: ReadonlyArray<Duration.Input | undefined> = [
  undefined,
  0,
  -1,
  1.5,
  2 ** 40,
  Number.POSITIVE_INFINITY,
  Duration.infinity
]

/** Before these, `exists` asked for no permission. */
const existsNeedsRead = (version: string | undefined): boolean => {
  const [major = 0, minor = 0, patch = 0] = (version ?? "").split(".").map(Number)
  return major > 3 || minor > 9 || minor === 9 && patch >= 2 || minor === 8 && patch >= 4
}

/** All of a Stat that a test names; the rest is as before. */
const moved = (before: Stat, changes: Partial<Stat>): Stat => ({ ...before, ...changes })

export const operations = (name: string, layer: Connect): void => {
  const connect = (settings?: Settings): Effect.Effect<Service, BadArguments | ConnectionError, Scope.Scope> =>
    Effect.map(Layer.build(layer(settings)), Context.get(ZooKeeper))

  const owned = { scheme: "digest", credential: "owner:secret" }
  const ownerAll = Acl.digestAcl({ user: "owner", password: "secret" })

  shared(layer(), { excludeTestServices: true })(name, (it) => {
    // -----------------------------------------------------------------------
    // create
    // -----------------------------------------------------------------------

    it.effect("create: persistent znodes, and createWithStat tells the Stat", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        assert.strictEqual(yield* zk.create(`${root}/a`, "data"), `${root}/a`)
        const { path, stat } = yield* zk.createWithStat(`${root}/b`, "data")
        assert.strictEqual(path, `${root}/b`)
        assert.deepStrictEqual(stat, some(yield* zk.exists(path)))
        assert.deepStrictEqual(stat, (yield* zk.get(path)).stat)
        assert.strictEqual(stat.dataLength, 4)
        assert.strictEqual(stat.ephemeralOwner, 0n)
      }))

    it.effect("create: ephemeral znodes belong to the session and end with it", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/e`
        const { event } = yield* zk.existsAndWatch(path)
        yield* Effect.scoped(Effect.gen(function*() {
          const other = yield* connect()
          const { stat } = yield* other.createWithStat(path, "", { mode: "ephemeral" })
          assert.strictEqual(stat.ephemeralOwner, (yield* other.session).id)
          const plain = yield* other.create(`${root}/p`, "", { mode: "ephemeral" })
          assert.deepStrictEqual(yield* event, { _tag: "NodeCreated", path })
          assert.strictEqual(some(yield* zk.exists(plain)).ephemeralOwner, stat.ephemeralOwner)
        }))
        const { event: gone, value } = yield* zk.existsAndWatch(path)
        if (Option.isSome(value)) assert.deepStrictEqual(yield* gone, { _tag: "NodeDeleted", path })
        assert.isFalse(yield* present(zk, `${root}/p`))
      }))

    it.effect("create: sequential znodes are numbered by their parent, in ten digits", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const sequential = { mode: "persistentSequential" } as const
        assert.strictEqual(yield* zk.create(`${root}/a-`, "", sequential), `${root}/a-0000000000`)
        assert.strictEqual(
          yield* zk.create(`${root}/b-`, "", { mode: "ephemeralSequential" }),
          `${root}/b-0000000001`
        )
        // Creates that are not sequential count as well, deletes do not.
        yield* zk.create(`${root}/plain`)
        yield* zk.delete(`${root}/plain`)
        assert.strictEqual(yield* zk.create(`${root}/a-`, "", sequential), `${root}/a-0000000003`)
        const { path, stat } = yield* zk.createWithStat(`${root}/`, "12", sequential)
        assert.strictEqual(path, `${root}/0000000004`)
        assert.strictEqual(stat.dataLength, 2)
        assert.strictEqual(yield* zk.create(`${root}/`, "", sequential), `${root}/0000000005`)
        assert.strictEqual(yield* zk.create(`${root}/..`, "", sequential), `${root}/..0000000006`)
        assert.strictEqual(some(ZnodePath.sequenceOf("..0000000006")), 6)
        const ephemeral = some(yield* zk.exists(`${root}/b-0000000001`))
        assert.strictEqual(ephemeral.ephemeralOwner, (yield* zk.session).id)
      }))

    it.effect("create: 100 concurrent sequential creates get 100 numbers, in order", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const paths = yield* Effect.forEach(
          Array.from({ length: 100 }, (_, index) => index),
          (index) => zk.create(`${root}/n`, String(index), { mode: "persistentSequential" }),
          { concurrency: "unbounded" }
        )
        const expected = paths.map((_, index) => `${root}/n${String(index).padStart(10, "0")}`)
        assert.deepStrictEqual(paths, expected)
        const data = (yield* zk.getMany(paths)).map((read) => text(Result.getOrThrow(read).data))
        assert.deepStrictEqual(data, paths.map((_, index) => String(index)))
      }))

    it.effect("create: a container goes after its last child", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/container`
        const { stat } = yield* zk.createWithStat(path, "", { mode: "container" })
        assert.strictEqual(stat.ephemeralOwner, 0n)
        yield* zk.create(`${path}/child`)
        const { event } = yield* zk.existsAndWatch(path)
        yield* zk.delete(`${path}/child`)
        assert.deepStrictEqual(yield* event, { _tag: "NodeDeleted", path })
        assert.strictEqual(yield* zk.create(path, "", { mode: "container" }), path)
      }))

    it.effect("create: a znode with a TTL goes when the time is over", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const brief = { mode: "persistentTtl", ttl: "1 millis" } as const
        const path = yield* zk.create(`${root}/holder`)
        yield* zk.create(`${path}/child`)
        const { event } = yield* zk.getChildrenAndWatch(root)
        yield* zk.create(`${root}/brief`, "", brief)
        assert.strictEqual((yield* event)._tag, "NodeChildrenChanged")
        const brevity = yield* zk.existsAndWatch(`${root}/brief`)
        if (Option.isSome(brevity.value)) assert.strictEqual((yield* brevity.event)._tag, "NodeDeleted")
        assert.deepStrictEqual(yield* zk.getChildren(root), ["holder"])
        const long = 2 ** 40 - 1
        assert.strictEqual(
          yield* zk.create(`${root}/s-`, "", { mode: "persistentSequentialTtl", ttl: long }),
          `${root}/s-0000000002`
        )
        const { stat } = yield* zk.createWithStat(`${root}/long`, "", { mode: "persistentTtl", ttl: "34 weeks" })
        assert.strictEqual(stat.ephemeralOwner, 0n)
      }))

    it.effect("create: bad TTLs, and TTLs where they do not belong", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        for (const ttl of badTtls) {
          for (const mode of ["persistentTtl", "persistentSequentialTtl"] as const) {
            yield* refusesArgument(zk.create(`${root}/t`, "", { mode, ttl }), "ttl")
            yield* refusesArgument(zk.createWithStat(`${root}/t`, "", { mode, ttl }), "ttl")
            yield* refusesArgument(zk.transaction([Transaction.create(`${root}/t`, "", { mode, ttl })]), "ttl")
          }
        }
        const others: ReadonlyArray<CreateMode> = [
          "persistent",
          "ephemeral",
          "persistentSequential",
          "ephemeralSequential",
          "container"
        ]
        for (const mode of others) {
          yield* refusesArgument(zk.create(`${root}/t`, "", { mode, ttl: "1 second" }), "ttl")
          yield* refusesArgument(zk.createWithStat(`${root}/t`, "", { mode, ttl: "1 second" }), "ttl")
          yield* refusesArgument(
            zk.transaction([Transaction.create(`${root}/t`, "", { mode, ttl: "1 second" })]),
            "ttl"
          )
        }
        assert.deepStrictEqual(yield* zk.getChildren(root), [])
      }))

    it.effect("create: makeParents", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const ephemeral = { mode: "ephemeral", makeParents: true } as const
        assert.strictEqual(yield* zk.create(`${root}/a/b/c`, "x", ephemeral), `${root}/a/b/c`)
        const parent = yield* zk.get(`${root}/a/b`)
        assert.strictEqual(parent.data.length, 0)
        assert.strictEqual(parent.stat.ephemeralOwner, 0n)
        const beside = yield* zk.createWithStat(`${root}/a/b/d`, "", { makeParents: true })
        assert.strictEqual(beside.path, `${root}/a/b/d`)
        assert.strictEqual(
          yield* zk.create(`${root}/q/r/`, "", { mode: "persistentSequential", makeParents: true }),
          `${root}/q/r/0000000000`
        )
        yield* refused(
          zk.create(`${root}/a/b`, "", { makeParents: true }),
          new NodeExists({ path: `${root}/a/b` })
        )
        yield* refused(
          zk.create(`${root}/a/b/c/d`, "", { makeParents: true }),
          new NoChildrenForEphemerals({ path: `${root}/a/b/c/d` })
        )
        const acl = [Acl.world(["read", "create", "delete"])]
        yield* zk.create(`${root}/closed/leaf`, "", { acl, makeParents: true })
        assert.deepStrictEqual((yield* zk.getAcl(`${root}/closed`)).acl, acl)
      }))

    it.effect("create: protected names start with _c_<uuid>-", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const uuid = "_c_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-"
        const matches = (path: string, rest: string) => assert.match(path, new RegExp(`^${root}/${uuid}${rest}$`))
        const plain = yield* zk.create(`${root}/lock`, "data", { protected: true })
        matches(plain, "lock")
        assert.strictEqual(text((yield* zk.get(plain)).data), "data")
        const other = yield* zk.createWithStat(`${root}/lock`, "", { mode: "ephemeralSequential", protected: true })
        matches(other.path, "lock0000000001")
        assert.strictEqual(other.stat.ephemeralOwner, (yield* zk.session).id)
        matches(yield* zk.create(`${root}/`, "", { mode: "persistentSequential", protected: true }), "0000000002")
        const deep = yield* zk.create(`${root}/x/y`, "", { protected: true, makeParents: true })
        assert.match(deep, new RegExp(`^${root}/x/${uuid}y$`))
        // Errors speak of the path that was asked for.
        yield* refused(zk.create(`${root}/no/y`, "", { protected: true }), new NoNode({ path: `${root}/no/y` }))
      }))

    it.effect("create: NodeExists, NoNode of the parent, NoChildrenForEphemerals", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const ephemeral = yield* zk.create(`${root}/e`, "", { mode: "ephemeral" })
        for (const mode of ["persistent", "ephemeral", "container", "persistentTtl"] as const) {
          const options = mode === "persistentTtl" ? { mode, ttl: "1 hour" } as const : { mode }
          yield* refused(zk.create(root, "", options), new NodeExists({ path: root }))
          yield* refused(zk.createWithStat(root, "", options), new NodeExists({ path: root }))
          yield* refused(zk.create(`${root}/no/x`, "", options), new NoNode({ path: `${root}/no/x` }))
          yield* refused(
            zk.create(`${ephemeral}/x`, "", options),
            new NoChildrenForEphemerals({ path: `${ephemeral}/x` })
          )
        }
        yield* refused(zk.create("/"), new NodeExists({ path: "/" }))
      }))

    // -----------------------------------------------------------------------
    // reading
    // -----------------------------------------------------------------------

    it.effect("exists tells the Stat or None, get fails with NoNode", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        assert.isTrue(Option.isNone(yield* zk.exists(`${root}/no`)))
        assert.isTrue(Option.isNone(yield* zk.exists(`${root}/no/where`)))
        yield* refused(zk.get(`${root}/no`), new NoNode({ path: `${root}/no` }))
        assert.deepStrictEqual(yield* zk.exists(root), Option.some((yield* zk.get(root)).stat))
        assert.isTrue(yield* present(zk, "/"))
      }))

    it.effect("data: none, empty, bytes, text as UTF-8, 500 kB", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const back = (path: string) => Effect.map(zk.get(path), ({ data }) => data)
        assert.deepStrictEqual(yield* back(yield* zk.create(`${root}/none`)), new Uint8Array(0))
        assert.deepStrictEqual(yield* back(yield* zk.create(`${root}/empty`, new Uint8Array(0))), new Uint8Array(0))
        const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
        assert.deepStrictEqual(Array.from(yield* back(yield* zk.create(`${root}/bytes`, bytes))), Array.from(bytes))
        const words = "κόσμος 😀 \u0000 é"
        const path = yield* zk.create(`${root}/κόσμος-é`, words)
        assert.strictEqual(text(yield* back(path)), words)
        assert.include(yield* zk.getChildren(root), "κόσμος-é")
        const large = Uint8Array.from({ length: 500_000 }, (_, index) => index * 31 >>> 3)
        yield* zk.create(`${root}/large`, large)
        const read = yield* zk.get(`${root}/large`)
        assert.strictEqual(read.stat.dataLength, 500_000)
        assert.isTrue(Buffer.from(read.data).equals(large))
        // Null, as other clients store it.
        const none = yield* zk.create(`${root}/null`, null as unknown as string)
        assert.deepStrictEqual(yield* back(none), new Uint8Array(0))
        const many = yield* zk.getMany([none, none])
        assert.deepStrictEqual(many.map((read) => Result.getOrThrow(read).data.length), [0, 0])
        assert.strictEqual(text((yield* zk.update(none, (data) => `${data.length} bytes`)).data), "0 bytes")
        assert.strictEqual((yield* zk.set(`${root}/large`, "")).dataLength, 0)
        assert.deepStrictEqual(yield* back(`${root}/large`), new Uint8Array(0))
      }))

    it.effect("get and getChildren show each change, however often they were asked before", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const writer = yield* connect()
        for (let round = 0; round < 20; round++) {
          yield* writer.set(root, `${round}`)
          yield* writer.create(`${root}/${round}`)
          yield* zk.sync(root)
          for (let again = 0; again < 2; again++) {
            const { data, stat } = yield* zk.get(root)
            assert.deepStrictEqual([text(data), stat.version], [`${round}`, round + 1])
            assert.lengthOf(yield* zk.getChildren(root), round + 1)
          }
        }
      }))

    it.effect("getChildren and getChildrenWithStat", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        assert.deepStrictEqual(yield* zk.getChildren(root), [])
        const names = Array.from({ length: 50 }, (_, index) => `child-${index}`)
        yield* Effect.forEach(names, (name) => zk.create(`${root}/${name}`), { concurrency: "unbounded" })
        yield* zk.create(`${root}/child-0/grandchild`)
        assert.deepStrictEqual(sorted(yield* zk.getChildren(root)), sorted(names))
        const { children, stat } = yield* zk.getChildrenWithStat(root)
        assert.deepStrictEqual(sorted(children), sorted(names))
        assert.deepStrictEqual(stat, some(yield* zk.exists(root)))
        assert.strictEqual(stat.numChildren, 50)
        yield* refused(zk.getChildren(`${root}/no`), new NoNode({ path: `${root}/no` }))
        yield* refused(zk.getChildrenWithStat(`${root}/no`), new NoNode({ path: `${root}/no` }))
        assert.include(yield* zk.getChildren("/"), root.slice(1))
      }))

    it.effect("getMany: every znode on its own", () =>
      Effect.gen(function*() {
        const owner = yield* connect({ auth: [owned] })
        const root = yield* rootOf(owner)
        const zk = yield* ZooKeeper
        yield* owner.create(`${root}/a`, "A")
        yield* owner.create(`${root}/b`, "B")
        yield* owner.create(`${root}/secret`, "S", { acl: Acl.creatorAll })
        const paths = ["a", "no", "secret", "b", "a"].map((name) => `${root}/${name}`)
        assert.deepStrictEqual(shown(yield* zk.getMany(paths)), [
          "A",
          `NoNode ${root}/no`,
          `NoAuth ${root}/secret`,
          "B",
          "A"
        ])
        assert.deepStrictEqual(shown(yield* owner.getMany(paths.slice(2, 4))), ["S", "B"])
        assert.deepStrictEqual(yield* zk.getMany([]), [])
        for (const path of paths) {
          assert.deepStrictEqual(shown(yield* zk.getMany([path])), shown((yield* zk.getMany([path, path])).slice(1)))
        }
        const [first] = yield* zk.getMany(paths)
        assert.deepStrictEqual(first, Result.succeed(yield* zk.get(`${root}/a`)))
      }))

    it.effect("getMany: 1000 paths, in their order", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const paths = Array.from({ length: 1000 }, (_, index) => `${root}/${index}`)
        const even = paths.filter((_, index) => index % 2 === 0)
        yield* Effect.forEach(even, (path) => zk.create(path, path), { concurrency: "unbounded" })
        const reads = yield* zk.getMany(paths)
        assert.deepStrictEqual(
          reads.map((read) => Result.isSuccess(read) ? text(read.success.data) : read.failure._tag),
          paths.map((path, index) => index % 2 === 0 ? path : "NoNode")
        )
      }))

    it.effect("getMany: split where a reply or the request would be too large", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const small = yield* connect({ maxReplySize: 4096 })
        const seen = yield* statesOf(small)
        const paths = Array.from({ length: 40 }, (_, index) => `${root}/${index}`)
        yield* Effect.forEach(paths, (path, index) => zk.create(path, String(index).padEnd(1000)), {
          concurrency: "unbounded"
        })
        const reads = yield* small.getMany(paths)
        assert.deepStrictEqual(
          reads.map((read) => text(Result.getOrThrow(read).data).trim()),
          paths.map((_, index) => String(index))
        )
        // 256 of these do not fit into one request.
        const long = Array.from({ length: 256 }, (_, index) => `${root}/${String(index).padStart(5000, "x")}`)
        const missing = yield* small.getMany(long)
        assert.deepStrictEqual(missing.map(Result.isFailure), long.map(() => true))
        // One that is too large by itself cannot be had.
        yield* zk.create(`${root}/large`, "".padEnd(5000))
        const error = yield* Effect.flip(small.getMany([...paths, `${root}/large`]))
        assert.strictEqual(error._tag === "ConnectionError" && error.reason._tag, "TooLarge")
        assert.deepStrictEqual(seen, ["Connected"])
      }))

    // -----------------------------------------------------------------------
    // writing
    // -----------------------------------------------------------------------

    it.effect("set: versions, and BadVersion", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        assert.strictEqual((yield* zk.set(root, "one")).version, 1)
        assert.strictEqual((yield* zk.set(root, "two", 1)).version, 2)
        yield* refused(zk.set(root, "three", 1), new BadVersion({ path: root, expected: 1 }))
        yield* refused(zk.set(root, "three", -7), new BadVersion({ path: root, expected: -7 }))
        const { data, stat } = yield* zk.get(root)
        assert.strictEqual(text(data), "two")
        assert.strictEqual(stat.version, 2)
        yield* refused(zk.set(`${root}/no`, ""), new NoNode({ path: `${root}/no` }))
        assert.deepStrictEqual(yield* zk.set(root, "three", 2), some(yield* zk.exists(root)))
      }))

    it.effect("update: ten fibers, ten increments each, make one hundred", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const other = yield* connect()
        yield* zk.set(root, "0")
        const increment = (data: Uint8Array) => String(Number(text(data)) + 1)
        yield* Effect.forEach(
          Array.from({ length: 10 }, (_, index) => index % 2 === 0 ? zk : other),
          (client) => Effect.repeat(client.update(root, increment), { times: 9 }),
          { concurrency: "unbounded", discard: true }
        )
        const { data, stat } = yield* zk.get(root)
        assert.strictEqual(text(data), "100")
        assert.strictEqual(stat.version, 101)
      }))

    it.effect("update: computes with effects, passes their errors on, returns what it wrote", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const before = some(yield* zk.exists(root))
        const written = yield* zk.update(root, (data, stat) => {
          assert.strictEqual(data.length, 0)
          assert.deepStrictEqual(stat, before)
          return Effect.succeed("new")
        })
        assert.deepStrictEqual(written.stat, some(yield* zk.exists(root)))
        assert.strictEqual(text(written.data), "new")
        assert.strictEqual(yield* Effect.flip(zk.update(root, () => Effect.fail("no" as const))), "no")
        assert.strictEqual(some(yield* zk.exists(root)).version, 1)
        yield* refused(zk.update(`${root}/no`, () => ""), new NoNode({ path: `${root}/no` }))
      }))

    it.effect("delete: versions, NotEmpty, NoNode", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = yield* zk.create(`${root}/a`)
        yield* zk.set(path, "x")
        yield* refused(zk.delete(path, 0), new BadVersion({ path, expected: 0 }))
        yield* zk.create(`${path}/child`)
        yield* refused(zk.delete(path), new NotEmpty({ path }))
        yield* zk.delete(`${path}/child`, 0)
        yield* zk.delete(path, 1)
        yield* refused(zk.delete(path), new NoNode({ path }))
        yield* refused(zk.delete(`${path}/deep`), new NoNode({ path: `${path}/deep` }))
        assert.isFalse(yield* present(zk, path))
      }))

    it.effect("delete: special znodes are refused with BadArguments, and nothing goes with them", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        yield* refusesArgument(zk.delete("/"), "path")
        yield* refusesArgument(zk.delete("/zookeeper"), "path")
        assert.isTrue(yield* present(zk, root))
        assert.deepStrictEqual(yield* culprit(zk.transaction([Transaction.remove("/")])), [0, "/", "BadArguments"])
      }))

    it.effect("deleteRecursive: all below, children first, also when several do it", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/tree`
        const leaves = Array.from({ length: 60 }, (_, index) => `${path}/${index % 5}/${index % 10}/${index}`)
        yield* Effect.forEach(leaves, (leaf) => zk.create(leaf, "", { makeParents: true }).pipe(
          Effect.catchTag("NodeExists", () => Effect.void)
        ), { concurrency: "unbounded" })
        yield* zk.create(`${root}/tree-beside`)
        const attempt = Effect.catchTag(zk.deleteRecursive(path), "NoNode", () => Effect.void)
        yield* Effect.all([attempt, attempt, attempt], { concurrency: "unbounded" })
        assert.deepStrictEqual(yield* zk.getChildren(root), ["tree-beside"])
        yield* refused(zk.deleteRecursive(path), new NoNode({ path }))
        yield* zk.deleteRecursive(`${root}/tree-beside`)
      }))

    it.effect("ensurePath: creates what is missing, as often as one likes", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/a/b/c/d`
        yield* Effect.all(Array.from({ length: 10 }, () => zk.ensurePath(path)), { concurrency: "unbounded" })
        const { data, stat } = yield* zk.get(path)
        assert.strictEqual(data.length, 0)
        assert.strictEqual(stat.ephemeralOwner, 0n)
        yield* zk.set(path, "mine")
        yield* zk.ensurePath(path)
        yield* zk.ensurePath("/")
        assert.strictEqual(text((yield* zk.get(path)).data), "mine")
        const acl = [Acl.world(["read", "create", "delete"])]
        yield* zk.ensurePath(`${root}/x/y`, acl)
        assert.deepStrictEqual((yield* zk.getAcl(`${root}/x`)).acl, acl)
        assert.deepStrictEqual((yield* zk.getAcl(`${root}/x/y`)).acl, acl)
        const ephemeral = yield* zk.create(`${root}/e`, "", { mode: "ephemeral" })
        yield* refused(zk.ensurePath(`${ephemeral}/x`), new NoChildrenForEphemerals({ path: `${ephemeral}/x` }))
        yield* zk.create(`${root}/hidden`, "", { acl: [Acl.world([])] })
        yield* zk.ensurePath(`${root}/hidden`)
        yield* refused(zk.ensurePath(`${root}/hidden/x`), new NoAuth({ path: `${root}/hidden/x` }))
        // Nobody may list it, but its parent lets us delete it.
        yield* zk.delete(`${root}/hidden`)
      }))

    it.effect("Stat: each change moves its own fields and no others", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const { path, stat: created } = yield* zk.createWithStat(`${root}/n`, "abc")
        assert.deepStrictEqual(created, {
          czxid: created.czxid,
          mzxid: created.czxid,
          pzxid: created.czxid,
          ctime: created.ctime,
          mtime: created.ctime,
          version: 0,
          cversion: 0,
          aversion: 0,
          ephemeralOwner: 0n,
          dataLength: 3,
          numChildren: 0
        })
        assert.closeTo(created.ctime, yield* Clock.currentTimeMillis, 60_000)
        const written = yield* zk.set(path, "abcdef")
        assert.isTrue(written.mzxid > created.mzxid && written.mtime >= created.mtime)
        assert.deepStrictEqual(
          written,
          moved(created, { mzxid: written.mzxid, mtime: written.mtime, version: 1, dataLength: 6 })
        )
        const secured = yield* zk.setAcl(path, [Acl.world("all"), Acl.ip("10.0.0.1")])
        assert.deepStrictEqual(secured, moved(written, { aversion: 1 }))
        const first = yield* zk.createWithStat(`${path}/a`)
        const withOne = some(yield* zk.exists(path))
        assert.deepStrictEqual(withOne, moved(secured, { pzxid: first.stat.czxid, cversion: 1, numChildren: 1 }))
        const second = yield* zk.createWithStat(`${path}/b`)
        const withTwo = some(yield* zk.exists(path))
        assert.deepStrictEqual(withTwo, moved(withOne, { pzxid: second.stat.czxid, cversion: 2, numChildren: 2 }))
        yield* zk.delete(`${path}/a`)
        const without = some(yield* zk.exists(path))
        assert.isTrue(without.pzxid > withTwo.pzxid)
        assert.deepStrictEqual(without, moved(withTwo, { pzxid: without.pzxid, cversion: 3, numChildren: 1 }))
        // Neither a grandchild nor a child's data is the parent's business.
        yield* zk.create(`${path}/b/c`)
        yield* zk.set(`${path}/b`, "data")
        assert.deepStrictEqual(some(yield* zk.exists(path)), without)
        // The next number of a sequential child can be told from it.
        assert.strictEqual(
          yield* zk.create(`${path}/s`, "", { mode: "persistentSequential" }),
          `${path}/s${String((without.cversion + without.numChildren) / 2).padStart(10, "0")}`
        )
      }))

    // -----------------------------------------------------------------------
    // who may do what
    // -----------------------------------------------------------------------

    it.effect("ACLs: each permission allows its own operations and no others", () =>
      Effect.gen(function*() {
        const owner = yield* connect({ auth: [owned] })
        const root = yield* rootOf(owner)
        const guest = yield* connect()
        const everything = yield* ownerAll
        const looks = existsNeedsRead((yield* guest.serverFacts).version)
        for (const permission of ["read", "write", "create", "delete", "admin"] as const) {
          const path = `${root}/${permission}`
          const acl = [everything, Acl.world([permission])]
          yield* owner.create(path, "", { acl })
          for (const name of ["a", "b", "c"]) yield* owner.create(`${path}/${name}`)
          const matrix: ReadonlyArray<readonly [
            operation: string,
            effect: Effect.Effect<unknown, { readonly _tag: string; readonly path?: string }>,
            allowed: ReadonlyArray<string>
          ]> = [
            ["get", guest.get(path), ["read"]],
            ["exists", guest.exists(path), looks ? ["read"] : [permission]],
            ["getChildren", guest.getChildren(path), ["read"]],
            ["getChildrenWithStat", guest.getChildrenWithStat(path), ["read"]],
            ["countDescendants", guest.countDescendants(path), ["read"]],
            ["getAcl", guest.getAcl(path), ["read", "admin"]],
            ["sync", guest.sync(path), [permission]],
            ["set", guest.set(path, ""), ["write"]],
            ["create", guest.create(`${path}/x`), ["create"]],
            ["createWithStat", guest.createWithStat(`${path}/y`), ["create"]],
            ["ensurePath", guest.ensurePath(`${path}/z`), ["create"]],
            ["delete", guest.delete(`${path}/a`), ["delete"]],
            ["deleteRecursive", guest.deleteRecursive(`${path}/b`), ["delete"]],
            ["setAcl", guest.setAcl(path, acl), ["admin"]]
          ]
          for (const [operation, effect, allowed] of matrix) {
            const outcome = yield* tagOf(effect)
            const expected = allowed.includes(permission) ? "ok" : "NoAuth"
            assert.strictEqual(outcome, expected, `${operation} with ${permission}`)
          }
          const inTransactions = [
            [Transaction.check(path), "read"],
            [Transaction.set(path, ""), "write"],
            [Transaction.create(`${path}/t`), "create"],
            [Transaction.remove(`${path}/c`), "delete"]
          ] as const
          for (const [operation, needed] of inTransactions) {
            const attempt = guest.transaction([operation])
            if (permission === needed) yield* attempt
            else assert.deepStrictEqual(yield* culprit(attempt), [0, operation.path, "NoAuth"])
          }
        }
        yield* refused(guest.get(`${root}/write`), new NoAuth({ path: `${root}/write` }))
        yield* refused(guest.create(`${root}/write/q`), new NoAuth({ path: `${root}/write/q` }))
        yield* refused(guest.update(`${root}/read`, () => ""), new NoAuth({ path: `${root}/read` }))
      }))

    it.effect("ACLs: digest users, added later, several on one connection", () =>
      Effect.gen(function*() {
        const owner = yield* connect({ auth: [owned] })
        const root = yield* rootOf(owner)
        const guest = yield* connect()
        const friend = yield* Acl.digestAcl({ user: "friend", password: Redacted.make("pw"), permissions: ["write"] })
        const path = yield* owner.create(`${root}/secret`, "", { acl: Acl.creatorAll })
        assert.deepStrictEqual((yield* owner.getAcl(path)).acl, [yield* ownerAll])
        yield* refused(guest.get(path), new NoAuth({ path }))
        yield* guest.addAuth("digest", "owner:wrong")
        yield* refused(guest.get(path), new NoAuth({ path }))
        yield* owner.setAcl(path, [yield* ownerAll, friend])
        yield* guest.addAuth("digest", Redacted.make("friend:pw"))
        yield* guest.set(path, "from a friend")
        yield* refused(guest.get(path), new NoAuth({ path }))
        yield* guest.addAuth("digest", "owner:secret")
        assert.strictEqual(text((yield* guest.get(path)).data), "from a friend")
        // "auth" stands for all of them.
        yield* guest.create(`${root}/all`, "", { acl: Acl.creatorAll })
        const users = (yield* guest.getAcl(`${root}/all`)).acl.map(({ id }) => id.id.split(":")[0] ?? "")
        assert.deepStrictEqual(sorted(users), ["friend", "owner", "owner"])
      }))

    it.effect("ACLs: world, ip, and rights that nobody has", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const address = (yield* zk.whoAmI).find(({ authScheme }) => authScheme === "ip")?.user ?? assert.fail("no ip")
        for (const acl of [Acl.world(["read"]), Acl.ip(address), Acl.ip(`${address}/8`, ["read"])]) {
          const path = yield* zk.create(`${root}/open`, "", { acl: [acl] })
          yield* zk.get(path)
          assert.deepStrictEqual((yield* zk.getAcl(path)).acl, [acl])
          yield* zk.delete(path)
        }
        for (const acl of [Acl.world([]), Acl.ip("10.255.255.1"), Acl.ip("10.255.0.0/16")]) {
          const path = yield* zk.create(`${root}/closed`, "", { acl: [acl] })
          yield* refused(zk.get(path), new NoAuth({ path }))
          yield* refused(zk.getAcl(path), new NoAuth({ path }))
          yield* refused(zk.setAcl(path, Acl.openUnsafe), new NoAuth({ path }))
          yield* zk.delete(path)
        }
      }))

    it.effect("getAcl and setAcl: the version of the ACL is its own", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const { acl, stat } = yield* zk.getAcl(root)
        assert.deepStrictEqual(acl, Acl.openUnsafe)
        assert.deepStrictEqual(stat, some(yield* zk.exists(root)))
        yield* zk.set(root, "data does not count")
        const wider = [Acl.world("all"), Acl.ip("10.0.0.1", ["read"])]
        assert.strictEqual((yield* zk.setAcl(root, wider, 0)).aversion, 1)
        yield* refused(zk.setAcl(root, Acl.openUnsafe, 0), new BadVersion({ path: root, expected: 0 }))
        assert.deepStrictEqual((yield* zk.getAcl(root)).acl, wider)
        assert.deepStrictEqual(yield* zk.setAcl(root, Acl.openUnsafe), some(yield* zk.exists(root)))
        yield* refused(zk.getAcl(`${root}/no`), new NoNode({ path: `${root}/no` }))
        yield* refused(zk.setAcl(`${root}/no`, Acl.openUnsafe), new NoNode({ path: `${root}/no` }))
      }))

    it.effect("getAcl: hashes are hidden from those who only read, and are not written back", () =>
      Effect.gen(function*() {
        const owner = yield* connect({ auth: [owned] })
        const root = yield* rootOf(owner)
        const zk = yield* ZooKeeper
        const acl = [yield* ownerAll, Acl.world(["read"])]
        const path = yield* owner.create(`${root}/n`, "", { acl })
        assert.deepStrictEqual(ids((yield* owner.getAcl(path)).acl), ids(acl))
        const { acl: masked } = yield* zk.getAcl(path)
        assert.deepStrictEqual(ids(masked), ["anyone", "owner:x"])
        assert.isTrue(masked.some(({ id }) => Acl.isMasked(id)))
        yield* refusesArgument(owner.setAcl(path, masked), "acl")
        yield* refusesArgument(owner.create(`${root}/copy`, "", { acl: masked }), "acl")
        yield* refusesArgument(owner.ensurePath(`${root}/copy`, masked), "acl")
        yield* refusesArgument(owner.transaction([Transaction.create(`${root}/copy`, "", { acl: masked })]), "acl")
      }))

    it.effect("InvalidAcl: what only the server can know", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/n`
        const invalid = [
          Acl.auth(),
          Acl.ip("no address"),
          Acl.ip("10.0.0.1/99"),
          { perms: 31, id: { scheme: "nonsense", id: "x" } }
        ]
        for (const acl of invalid) {
          yield* refused(zk.create(path, "", { acl: [acl] }), new InvalidAcl({ path }))
          yield* refused(zk.createWithStat(path, "", { acl: [acl], mode: "container" }), new InvalidAcl({ path }))
          yield* refused(zk.ensurePath(path, [acl]), new InvalidAcl({ path }))
          yield* refused(zk.setAcl(root, [acl]), new InvalidAcl({ path: root }))
          assert.deepStrictEqual(
            yield* culprit(zk.transaction([Transaction.check(root), Transaction.create(path, "", { acl: [acl] })])),
            [1, path, "InvalidAcl"]
          )
        }
        const strict = yield* connect({ defaultAcl: [yield* ownerAll, Acl.world(["read"])] })
        yield* strict.create(path)
        yield* strict.ensurePath(`${root}/e`)
        yield* strict.transaction([Transaction.create(`${root}/t`)])
        for (const created of [path, `${root}/e`, `${root}/t`]) {
          yield* refused(zk.set(created, ""), new NoAuth({ path: created }))
        }
      }))

    it.effect("addAuth: a refused identity makes the client unusable", () =>
      Effect.gen(function*() {
        const zk = yield* connect()
        const error = yield* Effect.flip(zk.addAuth("nonsense", "x"))
        assert.strictEqual(error.reason._tag, "AuthFailed")
        const later = yield* Effect.flip(zk.exists("/"))
        assert.strictEqual(later._tag === "ConnectionError" && later.reason._tag, "AuthFailed")
        assert.strictEqual((yield* zk.state)._tag, "AuthFailed")
      }))

    it.effect("whoAmI and serverFacts", () =>
      Effect.gen(function*() {
        const zk = yield* connect({ auth: [owned] })
        yield* zk.addAuth("digest", "friend:pw")
        const mine = yield* zk.whoAmI
        assert.include(mine.map(({ authScheme }) => authScheme), "ip")
        const users = mine.filter(({ authScheme }) => authScheme === "digest").map(({ user }) => user)
        assert.deepStrictEqual(sorted(users), ["friend", "owner"])
        const facts = yield* zk.serverFacts
        assert.match(facts.version ?? "", /^\d+\.\d+\.\d+/)
        assert.include(["standalone", "leader", "follower", "observer"], facts.mode)
        assert.isAtLeast(facts.nodeCount, 5)
        assert.isAtLeast(facts.connections, 1)
        const before = facts.zxid
        yield* rootOf(zk)
        assert.isTrue((yield* zk.serverFacts).zxid > before)
      }))

    // -----------------------------------------------------------------------
    // sync and counting
    // -----------------------------------------------------------------------

    it.effect("sync: what others wrote before is seen behind it; the znode need not exist", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const other = yield* connect()
        for (let round = 0; round < 20; round++) {
          yield* other.set(root, String(round))
          const [, { data }] = yield* Effect.all([zk.sync(root), zk.get(root)], { concurrency: "unbounded" })
          assert.strictEqual(text(data), String(round))
        }
        yield* zk.sync(`${root}/no`)
        yield* zk.sync("/")
      }))

    it.effect("getEphemerals: those of this session, at or below the path", () =>
      Effect.gen(function*() {
        const { root, zk: other } = yield* here
        const zk = yield* connect()
        assert.deepStrictEqual(yield* zk.getEphemerals(), [])
        const paths = ["a/1", "a/2", "ab/1", "a-", "e"].map((name) => `${root}/${name}`)
        for (const parent of ["a", "ab"]) yield* other.create(`${root}/${parent}`)
        for (const path of paths) yield* zk.create(path, "", { mode: "ephemeral" })
        yield* other.create(`${root}/a/theirs`, "", { mode: "ephemeral" })
        yield* zk.create(`${root}/a/persistent`)
        assert.deepStrictEqual(sorted(yield* zk.getEphemerals()), sorted(paths))
        assert.deepStrictEqual(sorted(yield* zk.getEphemerals("/")), sorted(paths))
        assert.deepStrictEqual(sorted(yield* zk.getEphemerals(root)), sorted(paths))
        assert.deepStrictEqual(sorted(yield* zk.getEphemerals(`${root}/a`)), [`${root}/a/1`, `${root}/a/2`])
        assert.deepStrictEqual(yield* zk.getEphemerals(`${root}/e`), [`${root}/e`])
        assert.deepStrictEqual(yield* zk.getEphemerals(`${root}/no`), [])
        assert.deepStrictEqual(yield* other.getEphemerals(`${root}/a`), [`${root}/a/theirs`])
      }))

    it.effect("countDescendants: all below, at every depth", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        assert.strictEqual(yield* zk.countDescendants(root), 0)
        yield* zk.ensurePath(`${root}/a/b/c`)
        yield* zk.ensurePath(`${root}/ab/c`)
        assert.strictEqual(yield* zk.countDescendants(root), 5)
        assert.strictEqual(yield* zk.countDescendants(`${root}/a`), 2)
        assert.isAtLeast(yield* zk.countDescendants("/"), 6)
        yield* refused(zk.countDescendants(`${root}/no`), new NoNode({ path: `${root}/no` }))
      }))

    // -----------------------------------------------------------------------
    // transactions
    // -----------------------------------------------------------------------

    it.effect("transaction: a result for each operation, all of one moment", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        yield* zk.create(`${root}/old`)
        const [parent, child, first, second, stat, checked, removed] = yield* zk.transaction([
          Transaction.create(`${root}/p`, "parent"),
          Transaction.create(`${root}/p/c`, "child", { mode: "ephemeral" }),
          Transaction.create(`${root}/p/s-`, "", { mode: "persistentSequential" }),
          Transaction.create(`${root}/p/`, "", { mode: "ephemeralSequential" }),
          Transaction.set(`${root}/p`, "changed", 0),
          Transaction.check(`${root}/p`, 1),
          Transaction.remove(`${root}/old`, 0)
        ])
        assert.deepStrictEqual([parent, child, first, second], [
          `${root}/p`,
          `${root}/p/c`,
          `${root}/p/s-0000000001`,
          `${root}/p/0000000002`
        ])
        assert.strictEqual(stat.version, 1)
        assert.deepStrictEqual([checked, removed], [undefined, undefined])
        assert.isFalse(yield* present(zk, `${root}/old`))
        const now = yield* zk.get(parent)
        assert.strictEqual(text(now.data), "changed")
        assert.strictEqual(now.stat.mzxid, now.stat.czxid)
        assert.strictEqual(some(yield* zk.exists(child)).czxid, now.stat.czxid)
        yield* zk.transaction([
          Transaction.create(`${root}/container`, "", { mode: "container" }),
          Transaction.create(`${root}/ttl`, "", { mode: "persistentTtl", ttl: "1 hour" })
        ])
        const [ttl] = yield* zk.transaction([
          Transaction.create(`${root}/t-`, "", { mode: "persistentSequentialTtl", ttl: "1 hour" })
        ])
        assert.strictEqual(ttl, `${root}/t-0000000004`)
        yield* zk.transaction([child, first, second, parent].map((path) => Transaction.remove(path)))
        assert.isFalse(yield* present(zk, parent))
      }))

    it.effect("transaction: nothing is applied where one fails, and the culprit is named", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const leaf = yield* zk.create(`${root}/leaf`, "before")
        const full = yield* zk.create(`${root}/full`)
        yield* zk.create(`${full}/child`)
        const ephemeral = yield* zk.create(`${root}/e`, "", { mode: "ephemeral" })
        const before = yield* zk.getChildrenWithStat(root)
        const failing: ReadonlyArray<readonly [Transaction.Operation, string]> = [
          [Transaction.set(`${root}/no`, ""), "NoNode"],
          [Transaction.remove(`${root}/no`), "NoNode"],
          [Transaction.check(`${root}/no`), "NoNode"],
          [Transaction.create(`${root}/no/x`), "NoNode"],
          [Transaction.create(leaf), "NodeExists"],
          [Transaction.set(leaf, "", 3), "BadVersion"],
          [Transaction.remove(full, 3), "BadVersion"],
          [Transaction.check(full, 3), "BadVersion"],
          [Transaction.remove(full), "NotEmpty"],
          [Transaction.create(`${ephemeral}/x`), "NoChildrenForEphemerals"]
        ]
        for (const [operation, tag] of failing) {
          const others = [
            Transaction.create(`${root}/new`),
            Transaction.set(full, "after"),
            Transaction.check(root),
            Transaction.create(`${full}/other`)
          ]
          for (let index = 0; index <= others.length; index++) {
            const attempt = zk.transaction([...others.slice(0, index), operation, ...others.slice(index)])
            assert.deepStrictEqual(yield* culprit(attempt), [index, operation.path, tag])
          }
        }
        assert.deepStrictEqual(yield* zk.getChildrenWithStat(root), before)
        assert.strictEqual(text((yield* zk.get(leaf)).data), "before")
        assert.strictEqual((yield* zk.get(full)).stat.version, 0)
        const error = yield* Effect.flip(zk.transaction([Transaction.set(leaf, "", 3)]))
        if (error._tag !== "TransactionFailed") return assert.fail(error.message)
        yield* refused(Effect.fail(error.error), new BadVersion({ path: leaf, expected: 3 }))
      }))

    it.effect("transaction: an empty one is nothing", () =>
      Effect.gen(function*() {
        const zk = yield* ZooKeeper
        assert.deepStrictEqual(yield* zk.transaction([]), [])
      }))

    it.effect("transaction: 500 operations", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const paths = Array.from({ length: 500 }, (_, index) => `${root}/${index}`)
        assert.deepStrictEqual(yield* zk.transaction(paths.map((path) => Transaction.create(path))), paths)
        assert.strictEqual(yield* zk.countDescendants(root), 500)
        yield* zk.transaction(paths.map((path) => Transaction.remove(path)))
        assert.strictEqual(yield* zk.countDescendants(root), 0)
      }))

    // -----------------------------------------------------------------------
    // limits
    // -----------------------------------------------------------------------

    it.effect("malformed arguments are found before anything is sent", () =>
      Effect.gen(function*() {
        // A closed client can send nothing: whatever it still says, it says by itself.
        const zk = yield* Effect.scoped(connect())
        const closed = yield* Effect.flip(zk.get("/"))
        assert.strictEqual(closed._tag === "ConnectionError" && closed.reason._tag, "Closed")
        for (const path of badPaths) {
          const attempts: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
            zk.create(path),
            zk.createWithStat(path),
            zk.create(path, "", { makeParents: true }),
            zk.create(path, "", { protected: true }),
            zk.create(path, "", { mode: "container" }),
            zk.exists(path),
            zk.get(path),
            zk.getMany(["/", path]),
            zk.getChildren(path),
            zk.getChildrenWithStat(path),
            zk.set(path, ""),
            zk.update(path, () => ""),
            zk.delete(path),
            zk.deleteRecursive(path),
            zk.ensurePath(path),
            zk.getAcl(path),
            zk.setAcl(path, Acl.openUnsafe),
            zk.sync(path),
            zk.getEphemerals(path),
            zk.countDescendants(path),
            zk.transaction([Transaction.check("/"), Transaction.create(path)]),
            zk.transaction([Transaction.remove(path)]),
            zk.transaction([Transaction.set(path, "")]),
            zk.transaction([Transaction.check(path)]),
            Effect.scoped(zk.existsAndWatch(path)),
            Effect.scoped(zk.getAndWatch(path)),
            Effect.scoped(zk.getChildrenAndWatch(path)),
            Stream.runDrain(zk.changes(path)),
            Stream.runDrain(zk.childrenChanges(path)),
            Stream.runDrain(zk.watch(path)),
            Stream.runDrain(zk.watch(path, "recursive"))
          ]
          for (const attempt of attempts) yield* refusesArgument(attempt, "path")
        }
        // It would delete everything before the server refuses to delete the root.
        yield* refusesArgument(zk.deleteRecursive("/"), "path")
        for (const path of ["", "relative", "//", "/a//b", "/a\u0000"]) {
          yield* refusesArgument(zk.create(path, "", { mode: "persistentSequential" }), "path")
        }
        for (const version of badVersions) {
          const attempts: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
            zk.set("/a", "", version),
            zk.delete("/a", version),
            zk.setAcl("/a", Acl.openUnsafe, version),
            zk.transaction([Transaction.set("/a", "", version)]),
            zk.transaction([Transaction.remove("/a", version)]),
            zk.transaction([Transaction.check("/a", version)])
          ]
          for (const attempt of attempts) yield* refusesArgument(attempt, "version")
        }
        for (const acl of badAcls) {
          const attempts: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
            zk.create("/a", "", { acl }),
            zk.createWithStat("/a", "", { acl }),
            zk.ensurePath("/a", acl),
            zk.setAcl("/a", acl),
            zk.transaction([Transaction.create("/a", "", { acl })])
          ]
          for (const attempt of attempts) yield* refusesArgument(attempt, "acl")
        }
        for (const ttl of badTtls) {
          yield* refusesArgument(zk.create("/a", "", { mode: "persistentTtl", ttl }), "ttl")
        }
        assert.deepStrictEqual(yield* zk.transaction([]), [])
        assert.deepStrictEqual(yield* zk.getMany([]), [])
      }))

    it.effect("a request that is too large fails alone", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const zk = yield* connect()
        const seen = yield* statesOf(zk)
        const { id } = yield* zk.session
        const large = new Uint8Array(1_100_000)
        const attempts: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
          zk.create(`${root}/large`, large),
          zk.create(`${root}/large`, large, { makeParents: true, protected: true }),
          zk.set(root, large),
          zk.update(root, () => large),
          zk.transaction([Transaction.create(`${root}/large`, large)])
        ]
        for (const attempt of attempts) {
          const [before, error, after] = yield* Effect.all([zk.get(root), Effect.flip(attempt), zk.get(root)], {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(before, after)
          if (!(error instanceof ConnectionError) || error.reason._tag !== "TooLarge") return assert.fail(String(error))
          assert.strictEqual(error.outcome, "NotApplied")
          assert.strictEqual(error.reason.what, "request")
          assert.strictEqual(error.reason.limit, 0xf_ffff)
          assert.isAbove(error.reason.size, 1_100_000)
        }
        assert.deepStrictEqual(yield* zk.getChildren(root), [])
        assert.strictEqual((yield* zk.session).id, id)
        assert.deepStrictEqual(seen, ["Connected"])
      }))

    it.effect("a reply that is too large fails alone", () =>
      Effect.gen(function*() {
        const { root, zk: writer } = yield* here
        const zk = yield* connect({ maxReplySize: 1024 })
        const seen = yield* statesOf(zk)
        const { id } = yield* zk.session
        yield* writer.create(`${root}/large`, new Uint8Array(100_000))
        yield* writer.create(`${root}/small`, "small")
        const [first, error, last] = yield* Effect.all([
          zk.get(`${root}/small`),
          Effect.flip(zk.get(`${root}/large`)),
          zk.get(`${root}/small`)
        ], { concurrency: "unbounded" })
        assert.strictEqual(text(first.data), "small")
        assert.deepStrictEqual(first, last)
        if (error._tag !== "ConnectionError" || error.reason._tag !== "TooLarge") return assert.fail(error.message)
        assert.strictEqual(error.outcome, "NotApplied")
        assert.strictEqual(error.reason.what, "reply")
        assert.strictEqual(error.path, `${root}/large`)
        // Of a write it is not known what became of it: here it was applied.
        const paths = Array.from({ length: 50 }, (_, index) => `${root}/${index}`)
        const unread = yield* Effect.flip(zk.transaction(paths.map((path) => Transaction.create(path))))
        if (unread._tag !== "ConnectionError") return assert.fail(unread.message)
        assert.deepStrictEqual([unread.outcome, unread.reason._tag], ["Unknown", "TooLarge"])
        assert.strictEqual(yield* writer.countDescendants(root), 52)
        assert.strictEqual((yield* zk.session).id, id)
        assert.deepStrictEqual(seen, ["Connected"])
      }))

    it.effect("an interrupted request keeps its place, and the answers after it find their callers", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const paths = Array.from({ length: 100 }, (_, index) => `${root}/${index}`)
        yield* zk.transaction(paths.map((path) => Transaction.create(path, path)))
        const reads = yield* Effect.forEach(paths, (path) => Effect.forkChild(zk.get(path), { startImmediately: true }))
        const kept = reads.filter((_, index) => index % 3 === 0)
        yield* Fiber.interruptAll(reads.filter((_, index) => index % 3 !== 0))
        assert.deepStrictEqual(
          (yield* Effect.forEach(kept, Fiber.join)).map(({ data }) => text(data)),
          paths.filter((_, index) => index % 3 === 0)
        )
        assert.strictEqual((yield* zk.state)._tag, "Connected")
      }))

    it.effect("an interrupted write that was handed over is executed all the same", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const writing = yield* Effect.forkChild(zk.create(`${root}/a`), { startImmediately: true })
        yield* Fiber.interrupt(writing)
        assert.isTrue(yield* present(zk, `${root}/a`))
      }))

    it.effect("a hard quota is kept", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const quota = `/zookeeper/quota${root}`
        yield* Effect.acquireRelease(zk.create(quota), () => Effect.orDie(zk.deleteRecursive(quota)))
        yield* zk.create(
          `${quota}/zookeeper_limits`,
          "count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=3"
        )
        yield* zk.create(`${quota}/zookeeper_stats`, "count=0,bytes=0")
        const path = yield* zk.create(`${root}/a`)
        yield* zk.create(`${root}/b`)
        yield* refused(zk.create(`${root}/c`), new QuotaExceeded({ path: `${root}/c` }))
        yield* refused(zk.createWithStat(`${root}/c`), new QuotaExceeded({ path: `${root}/c` }))
        yield* refused(zk.ensurePath(`${root}/c`), new QuotaExceeded({ path: `${root}/c` }))
        const large = "".padEnd(101)
        yield* refused(zk.set(path, large), new QuotaExceeded({ path }))
        yield* refused(zk.update(path, () => large), new QuotaExceeded({ path }))
        assert.deepStrictEqual(
          yield* culprit(zk.transaction([Transaction.check(path), Transaction.set(path, large)])),
          [1, path, "QuotaExceeded"]
        )
        yield* zk.set(path, "".padEnd(99))
        assert.strictEqual(some(yield* zk.exists(path)).version, 1)
      }))

    // -----------------------------------------------------------------------
    // chroot
    // -----------------------------------------------------------------------

    it.effect("chroot: put before every path, and taken off every path", () =>
      Effect.gen(function*() {
        const { root, zk: whole } = yield* here
        const zk = yield* connect({ chroot: root })
        assert.strictEqual(zk.chroot, root)
        assert.strictEqual(whole.chroot, "")
        assert.strictEqual(yield* zk.create("/a", "A"), "/a")
        assert.strictEqual(text((yield* whole.get(`${root}/a`)).data), "A")
        assert.strictEqual((yield* zk.createWithStat("/b")).path, "/b")
        assert.strictEqual(yield* zk.create("/x/y/z", "", { makeParents: true }), "/x/y/z")
        assert.strictEqual(yield* zk.create("/s-", "", { mode: "persistentSequential" }), "/s-0000000003")
        assert.strictEqual(yield* zk.create("/x/", "", { mode: "persistentSequential" }), "/x/0000000001")
        assert.strictEqual(yield* zk.create("/", "", { mode: "persistentSequential" }), "/0000000004")
        const lock = yield* zk.create("/", "", { mode: "ephemeralSequential", protected: true })
        assert.match(lock, /^\/_c_[^/]*-0000000005$/)
        yield* Effect.forEach(yield* zk.getEphemerals(), (path) => zk.delete(path))
        assert.match(yield* zk.create("/p", "", { protected: true }), /^\/_c_[^/]*-p$/)
        assert.strictEqual(yield* zk.create("/c", "", { mode: "container" }), "/c")
        assert.strictEqual(yield* zk.create("/t", "", { mode: "persistentTtl", ttl: "1 hour" }), "/t")
        assert.deepStrictEqual(yield* zk.exists("/a"), yield* whole.exists(`${root}/a`))
        assert.deepStrictEqual(yield* zk.get("/a"), yield* whole.get(`${root}/a`))
        assert.deepStrictEqual(yield* zk.exists("/"), yield* whole.exists(root))
        assert.deepStrictEqual(sorted(yield* zk.getChildren("/")), sorted(yield* whole.getChildren(root)))
        assert.deepStrictEqual(
          (yield* zk.getChildrenWithStat("/")).stat,
          (yield* whole.getChildrenWithStat(root)).stat
        )
        const reads = yield* zk.getMany(["/a", "/no", "/"])
        assert.deepStrictEqual(
          reads.map(Result.match({ onFailure: ({ path }) => path, onSuccess: () => "ok" })),
          ["ok", "/no", "ok"]
        )
        yield* zk.set("/a", "B")
        yield* zk.update("/a", (data) => `${text(data)}C`)
        assert.strictEqual(text((yield* whole.get(`${root}/a`)).data), "BC")
        yield* zk.delete("/b")
        assert.isFalse(yield* present(whole, `${root}/b`))
        yield* zk.ensurePath("/e/f")
        assert.isTrue(yield* present(whole, `${root}/e/f`))
        yield* zk.deleteRecursive("/e")
        assert.isFalse(yield* present(whole, `${root}/e`))
        yield* zk.setAcl("/a", [Acl.world("all"), Acl.ip("10.0.0.1")])
        assert.deepStrictEqual(yield* zk.getAcl("/a"), yield* whole.getAcl(`${root}/a`))
        yield* zk.sync("/a")
        assert.strictEqual(yield* zk.countDescendants("/"), yield* whole.countDescendants(root))
        assert.deepStrictEqual(yield* zk.getEphemerals(), [])
        yield* zk.create("/x/eph", "", { mode: "ephemeral" })
        assert.deepStrictEqual(yield* zk.getEphemerals(), ["/x/eph"])
        assert.deepStrictEqual(yield* zk.getEphemerals("/x"), ["/x/eph"])
        assert.deepStrictEqual(yield* zk.getEphemerals("/xy"), [])
        const results = yield* zk.transaction([
          Transaction.create("/m"),
          Transaction.create("/m/", "", { mode: "persistentSequential" }),
          Transaction.create("/", "", { mode: "persistentSequential" }),
          Transaction.set("/m", "M"),
          Transaction.check("/", 0),
          Transaction.remove("/m/0000000000")
        ])
        assert.deepStrictEqual(results.slice(0, 2), ["/m", "/m/0000000000"])
        assert.match(results[2], /^\/\d{10}$/)
        const { event } = yield* zk.existsAndWatch("/m")
        yield* whole.delete(`${root}/m`)
        assert.deepStrictEqual(yield* event, { _tag: "NodeDeleted", path: "/m" })
        // Nothing got out.
        const mine = (yield* whole.getChildren("/")).filter((name) => name.startsWith(root.slice(1)))
        assert.deepStrictEqual(mine, [root.slice(1)])
      }))

    it.effect("chroot: errors speak of the client's paths", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const zk = yield* connect({ chroot: root })
        yield* zk.create("/full/child", "", { makeParents: true })
        yield* zk.create("/e", "", { mode: "ephemeral" })
        yield* zk.create("/closed", "", { acl: [Acl.world([])] })
        yield* refused(zk.get("/no"), new NoNode({ path: "/no" }))
        yield* refused(zk.create("/no/x"), new NoNode({ path: "/no/x" }))
        yield* refused(zk.create("/full"), new NodeExists({ path: "/full" }))
        yield* refused(zk.create("/"), new NodeExists({ path: "/" }))
        yield* refused(zk.create("/e/x"), new NoChildrenForEphemerals({ path: "/e/x" }))
        yield* refused(zk.set("/full", "", 7), new BadVersion({ path: "/full", expected: 7 }))
        yield* refused(zk.delete("/full"), new NotEmpty({ path: "/full" }))
        yield* refused(zk.delete("/"), new NotEmpty({ path: "/" }))
        yield* refused(zk.get("/closed"), new NoAuth({ path: "/closed" }))
        yield* refused(zk.create("/i", "", { acl: [Acl.auth()] }), new InvalidAcl({ path: "/i" }))
        assert.deepStrictEqual(
          yield* culprit(zk.transaction([Transaction.check("/full"), Transaction.remove("/full")])),
          [1, "/full", "NotEmpty"]
        )
        yield* zk.delete("/closed")
        const small = yield* connect({ chroot: root, maxReplySize: 1024 })
        yield* zk.set("/full", new Uint8Array(2000))
        const error = yield* Effect.flip(small.get("/full"))
        assert.strictEqual(error._tag === "ConnectionError" && error.path, "/full")
      }))

    it.effect("chroot: one that is not there yet, and / in it", () =>
      Effect.gen(function*() {
        const { root, zk: whole } = yield* here
        const zk = yield* connect({ chroot: `${root}/app` })
        assert.isFalse(yield* present(zk, "/"))
        yield* refused(zk.create("/a"), new NoNode({ path: "/a" }))
        yield* refused(zk.getChildren("/"), new NoNode({ path: "/" }))
        assert.strictEqual(yield* zk.create("/", "chroot"), "/")
        assert.strictEqual(text((yield* whole.get(`${root}/app`)).data), "chroot")
        yield* zk.create("/a")
        yield* whole.create(`${root}/apple`)
        yield* zk.deleteRecursive("/")
        assert.deepStrictEqual(yield* whole.getChildren(root), ["apple"])
        assert.strictEqual(yield* zk.create("/b/c", "", { makeParents: true }), "/b/c")
        assert.isTrue(yield* present(whole, `${root}/app/b/c`))
        yield* zk.deleteRecursive("/")
        yield* zk.ensurePath("/")
        yield* zk.delete("/")
        assert.deepStrictEqual(yield* whole.getChildren(root), ["apple"])
        // The parent of the chroot is missing as well: only a client without the chroot can create that.
        const deep = yield* connect({ chroot: `${root}/no/app` })
        yield* refused(deep.create("/"), new NoNode({ path: "/" }))
        yield* refused(deep.ensurePath("/a"), new NoNode({ path: "/" }))
      }))
  })
}
