/**
 * Nodes that stay: what every server must do, and what
 * becomes of them when replies are lost and sessions end.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as PersistentNode from "../../src/recipe/PersistentNode.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { connect, proxy as makeProxy, root as makeRoot, shared, sharedHost, through, untilState } from "../support/Clients.ts"
import { connectOpCode, type Proxy } from "../support/Proxy.ts"
import { text } from "../../src/testing/Recording.ts"
import { fourLetterWord } from "../support/ZooKeeperServer.ts"
import { onEveryServer } from "./servers.ts"
import { persistentNode } from "./persistentNode.ts"

onEveryServer(persistentNode)

interface World {
  readonly zk: ZooKeeper.Service
  readonly other: ZooKeeper.Service
  readonly proxy: Proxy
  readonly root: string
  readonly make: (path: string, data?: string, options?: PersistentNode.Options) => Effect.Effect<
    PersistentNode.PersistentNode,
    PersistentNode.PersistentNodeError,
    Scope.Scope
  >
}

const test = <E>(
  title: string,
  body: (world: World) => Effect.Effect<void, E, Scope.Scope>,
  options: Partial<ZooKeeper.Options> = {}
) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const other = yield* connect()
      const root = yield* makeRoot(other)
      const proxy = yield* makeProxy
      const zk = yield* through(proxy, { reconnect: Schedule.spaced("20 millis"), ...options })
      const make = (path: string, data?: string, options?: PersistentNode.Options) =>
        Effect.provideService(PersistentNode.make(path, data, options), ZooKeeper.ZooKeeper, zk)
      yield* body({ zk, other, proxy, root, make })
      // Lost connections are what these tests are about.
    }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")), 60_000)

/** Requests which a recipe makes, not the connection by itself. */
const isOperation = (opCode: number): boolean =>
  ![OpCode.Ping, OpCode.SetWatches, OpCode.SetWatches2, OpCode.CloseSession, connectOpCode].includes(opCode)

const noChildren = (zk: ZooKeeper.Service, path: string) =>
  zk.childrenChanges(path).pipe(
    Stream.filter(Option.exists(({ children }) => children.length === 0)),
    Stream.runHead
  )

describe.skipIf(shared === undefined).concurrent("a node that stays", () => {
  const modes = ["ephemeral", "ephemeralSequential", "persistent", "persistentSequential"] as const

  for (const mode of modes) {
    test(`${mode}: comes again, once, under its name, after its session has expired`, (world) =>
      Effect.gen(function*() {
        const { make, other, proxy, root, zk } = world
        const node = yield* make(`${root}/a`, "mine", { mode })
        const before = yield* other.get(node.path)
        const expired = yield* Effect.forkChild(untilState(zk, "Expired"), { startImmediately: true })
        yield* proxy.refuse(true)
        proxy.cut()
        yield* Fiber.join(expired)
        yield* proxy.refuse(false)
        const { id } = yield* zk.session
        if (mode.startsWith("ephemeral")) {
          const found = yield* Stream.runHead(Stream.filter(
            other.changes(node.path),
            Option.exists(({ stat }) => stat.ephemeralOwner === id)
          ))
          assert.deepStrictEqual(text(Option.getOrThrow(found)), Option.some("mine"))
        } else assert.deepStrictEqual((yield* other.get(node.path)).stat, before.stat)
        assert.strictEqual((yield* other.getChildren(root)).length, 1)
      }), { sessionTimeout: "1 second" })

    test(`${mode}: a reply lost at any request makes no second one, and leaves nothing`, ({ make, other, proxy, root }) =>
      Effect.gen(function*() {
        for (let index = 0; index < 8; index++) {
          const parent = yield* other.create(`${root}/${index}`)
          yield* Effect.scoped(Effect.gen(function*() {
            let left = index
            const remove = proxy.onReply(({ opCode }) => {
              if (!isOperation(opCode) || left-- !== 0) return undefined
              return { _tag: "Cut" }
            })
            const node = yield* make(`${parent}/a`, "mine", { mode })
            const names = yield* other.getChildren(parent)
            assert.strictEqual(names.length, 1)
            assert.strictEqual(`${parent}/${names[0]}`, node.path)
            // What is left of it hits the removal.
            if (left < 0) remove()
          }))
          yield* noChildren(other, parent)
        }
      }))

    test(`${mode}: interrupted at any request, its reply lost or not, leaves nothing`, ({ make, other, proxy, root }) =>
      Effect.gen(function*() {
        for (const lost of [false, true]) {
          for (let index = 0; index < 6; index++) {
            const parent = yield* other.create(`${root}/${lost ? "lost" : "kept"}-${index}`)
            let left = index
            const reached = yield* Deferred.make<void>()
            const remove = proxy.onReply(({ opCode }) => {
              if (!isOperation(opCode) || left-- !== 0) return undefined
              // Not before the frame is held.
              setImmediate(() => Deferred.doneUnsafe(reached, Effect.void))
              return lost ? { _tag: "Cut" } : { _tag: "Hold" }
            })
            const using = yield* Effect.forkChild(Effect.scoped(make(`${parent}/a`, "mine", { mode })))
            yield* Effect.raceFirst(Deferred.await(reached), Fiber.await(using))
            const interrupting = yield* Effect.forkChild(Fiber.interrupt(using), { startImmediately: true })
            remove()
            proxy.release()
            yield* Fiber.join(interrupting)
            yield* noChildren(other, parent)
          }
        }
      }))
  }

  test("nothing is sent when a connection is made again and everything is right", ({ make, other, proxy, root, zk }) =>
    Effect.gen(function*() {
      const node = yield* make(`${root}/a`, "mine")
      const before = (yield* other.get(node.path)).stat
      const from = proxy.requests.length
      for (let round = 0; round < 3; round++) {
        const suspended = yield* Effect.forkChild(untilState(zk, "Suspended"), { startImmediately: true })
        proxy.cut()
        yield* Fiber.join(suspended)
        yield* untilState(zk, "Connected")
      }
      assert.deepStrictEqual((yield* other.get(node.path)).stat, before)
      assert.deepStrictEqual(proxy.requests.slice(from).filter(({ opCode }) => isOperation(opCode)), [])
    }))

  test("closing does not wait for a server that is away, and the znode goes all the same", ({ make, other, proxy, root }) =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* make(`${root}/a`, "mine", { mode: "persistent" })
        yield* proxy.refuse(true)
        proxy.cut()
      }))
      assert.deepStrictEqual(yield* other.getChildren(root), ["a"])
      yield* proxy.refuse(false)
      yield* noChildren(other, root)
    }))

  test("fails when there will be no other session", ({ make, proxy, root, zk }) =>
    Effect.gen(function*() {
      const node = yield* make(`${root}/a`)
      const expired = yield* Effect.forkChild(untilState(zk, "Expired"), { startImmediately: true })
      yield* proxy.refuse(true)
      proxy.cut()
      yield* Fiber.join(expired)
      for (const end of [node.failure, node.set("x")]) {
        const error = yield* Effect.flip(end)
        assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "SessionExpired")
      }
    }), { sessionTimeout: "1 second", onExpiry: "end" })

  test("leaves no watch behind", ({ make, root, zk }) =>
    Effect.gen(function*() {
      const port = Number(sharedHost.split(":").at(-1))
      yield* Effect.scoped(make(`${root}/a`))
      yield* zk.sync(root)
      assert.notInclude(yield* Effect.orDie(fourLetterWord(port, "wchp")), root)
    }))
})
