/**
 * A server that breaks the protocol, in every way of `HostileServer.deeds` and
 * `HostileServer.endless` in every state of a connection: every operation ends,
 * with success or a typed error; memory stays bounded; the client backs off; and
 * once the server is honest again, it is as good as new. All in virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../../src/memory/Server.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import * as HostileServer from "../support/HostileServer.ts"
import { alive, grownSince } from "../support/Memory.ts"

/** What is done to the client, and where. */
interface Attack {
  readonly deed: HostileServer.Deed
  readonly state: keyof typeof HostileServer.states
  readonly seed: number
  /** In seconds. */
  readonly duration: number
  /** In bytes: what was alive before, where memory is to be held to its bound. */
  readonly before?: number | undefined
}

/** In bytes: what a client may take for all that a server sends, the events that slow consumers leave included. */
const mostMemory = 6 * 2 ** 20

/** In any ten seconds: one a second, a few more at first, and a question about zxids where all servers refuse. */
const mostDials = 20

const world = Effect.fnUntraced(function*({ deed, seed, state }: Attack) {
  const server = yield* Server.make({ tickTime: 500, minSessionTimeout: 1000 })
  const draw = HostileServer.drawFrom(seed)
  const hostile = yield* HostileServer.make(server, { deed, draw, state: HostileServer.states[state] })
  return { server, hostile }
})

type Hostile = HostileServer.HostileServer

const connect = (hostile: Hostile, options?: Partial<ZooKeeper.Options>) =>
  ZooKeeper.make({
    hosts: "hostile:2181",
    dial: hostile.dial,
    sessionTimeout: "6 seconds",
    connectTimeout: "5 minutes",
    requestTimeout: "3 seconds",
    maxReplySize: 2 ** 16,
    sasl: { name: "SCRIPTED", start: () => Effect.succeed({ initial: Uint8Array.of(1), respond: () => Effect.succeedNone }) },
    auth: [{ scheme: "digest", credential: "user:password" }],
    ...options
  })

/** Second by second. */
const pass = Effect.fnUntraced(function*(seconds: number, each: (second: number) => void = () => {}) {
  for (let second = 1; second <= seconds; second++) {
    yield* TestClock.adjust("1 second")
    each(second)
  }
})

/** Lets time pass under attack, and holds memory and connections to their bounds. */
const endure = Effect.fnUntraced(function*(hostile: Hostile, { before, duration }: Attack) {
  yield* pass(duration, (second) => {
    // Just before the deadline of a session that nothing proves.
    if (before === undefined || second !== 5) return
    assert.isBelow(grownSince(before, mostMemory), mostMemory, `bytes of ${hostile.sent()}`)
  })
  const { dials } = hostile
  for (const [index, at] of dials.entries()) {
    const later = dials[index + mostDials] ?? Infinity
    assert.isAbove(later - at, 10_000, `${mostDials + 1} connections from ${at} ms on`)
  }
})

/** A client at work: reads, a watch whose consumer is slow, another one that follows. */
const life = Effect.fnUntraced(function*(attack: Attack) {
  const { hostile } = yield* world(attack)
  const made = yield* Effect.forkScoped(connect(hostile), { startImmediately: true })
  const errors: Array<unknown> = []
  const collected = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.matchCause(effect, {
      onFailure: (cause) => void errors.push(Cause.squash(cause)),
      onSuccess: () => {}
    })
  const work = Effect.gen(function*() {
    const zk = yield* Fiber.join(made)
    yield* Effect.forkScoped(collected(Stream.runForEach(zk.watch("/a", "recursive"), () => Effect.sleep("1 hour"))))
    yield* Effect.forkScoped(collected(Stream.runDrain(zk.changes("/a"))))
    return yield* Effect.forever(Effect.andThen(collected(zk.get("/")), Effect.sleep("2500 millis")))
  })
  yield* Effect.forkScoped(work, { startImmediately: true })
  yield* pass(3)
  // Whatever it is at, it has to begin again.
  hostile.cut()
  yield* endure(hostile, attack)
  assert.isAtLeast(hostile.deeds(), 1)
  hostile.repent()
  yield* pass(12)
  const zk = yield* Fiber.join(made)
  const read = yield* Effect.forkChild(zk.get("/"), { startImmediately: true })
  yield* pass(1)
  const { stat } = yield* Fiber.join(read)
  assert.isAtLeast(stat.numChildren, 1)
  for (const error of errors) assert.instanceOf(error, ConnectionError)
  return hostile
})

/** A client that is closed. */
const farewell = Effect.fnUntraced(function*(attack: Attack) {
  const { hostile } = yield* world(attack)
  const scope = yield* Scope.make()
  const zk = yield* Scope.provide(connect(hostile), scope)
  yield* zk.get("/")
  const dials = hostile.dials.length
  const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
  yield* endure(hostile, { ...attack, duration: 5 })
  assert.isTrue(Exit.isSuccess(closed.pollUnsafe() ?? Exit.die("it is still closing")))
  assert.strictEqual(hostile.deeds(), 1)
  assert.strictEqual(hostile.dials.length, dials)
  return hostile
})

/** A client of a read-only server, which asks another one whether that has a quorum. */
const search = Effect.fnUntraced(function*(attack: Attack) {
  const { hostile, server } = yield* world(attack)
  for (const listener of ["one:2181", "other:2181"]) server.setReadOnly(true, listener)
  const zk = yield* connect(hostile, { hosts: "one:2181,other:2181", readOnly: true })
  const here = yield* zk.session
  const reading = yield* Effect.forkChild(
    Effect.forever(Effect.andThen(zk.get("/"), Effect.sleep("1 second"))),
    { startImmediately: true }
  )
  yield* endure(hostile, attack)
  assert.isAtLeast(hostile.deeds(), 1)
  hostile.repent()
  server.setReadOnly(false, here.server.host === "one" ? "other:2181" : "one:2181")
  // Its pauses have grown.
  yield* pass(90)
  assert.isUndefined(reading.pollUnsafe())
  assert.isFalse((yield* zk.session).readOnly)
  return hostile
})

const kinds: Readonly<Record<string, (attack: Attack) => ReturnType<typeof life>>> = {
  "at the end of the session": farewell,
  "at a four-letter word": search
}

const states = Object.keys(HostileServer.states) as ReadonlyArray<keyof typeof HostileServer.states>

/** Closing takes time too, and no more than it may. */
const closing = Effect.fnUntraced(function*<A, E>(attacked: Effect.Effect<A, E, Scope.Scope>) {
  const scope = yield* Scope.make()
  const exit = yield* Effect.exit(Scope.provide(attacked, scope))
  const closed = yield* Effect.forkChild(Scope.close(scope, exit), { startImmediately: true })
  yield* pass(6)
  assert.isDefined(closed.pollUnsafe())
  return yield* exit
})

/** The same in every state; returns how much was sent at the first read. */
const everywhere = Effect.fnUntraced(function*(
  attack: Omit<Attack, "state" | "seed">,
  seeds: ReadonlyArray<number> = [1]
) {
  let sent = 0
  for (const state of states) {
    for (const seed of seeds) {
      const hostile = yield* (kinds[state] ?? life)({ ...attack, state, seed }).pipe(
        closing,
        Effect.provide(Logger.layer([])),
        Effect.catchCause((cause) =>
          Effect.failCause(Cause.fromReasons([...cause.reasons, ...Cause.die(`${state}, seed ${seed}`).reasons]))
        )
      )
      if (state === "at the first read") sent = hostile.sent()
    }
  }
  return sent
})

/** Those that draw what they send, not only when. */
const drawn = new Set(["random bytes", "a frame of random bytes", "a bit turned"])

describe("a hostile server", () => {
  for (const [name, deed] of Object.entries(HostileServer.deeds)) {
    it.effect(name, () => everywhere({ deed, duration: 20 }, drawn.has(name) ? [1, 2, 3, 4] : [1]))
  }

  it.effect("a reply that is too large takes no memory, and fails alone", () =>
    Effect.gen(function*() {
      const deed = HostileServer.deeds["a reply of 32 MiB"] ?? assert.fail()
      const { hostile } = yield* world({ deed, state: "at the first read", seed: 1, duration: 0 })
      const zk = yield* connect(hostile)
      const before = process.memoryUsage().arrayBuffers
      const error = yield* Effect.flip(zk.get("/"))
      assert.isBelow(process.memoryUsage().arrayBuffers - before, mostMemory)
      assert.strictEqual(error._tag === "ConnectionError" ? error.reason._tag : error._tag, "TooLarge")
      yield* zk.get("/")
      assert.lengthOf(hostile.dials, 1)
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))))
})

describe("a hostile server that does not end", () => {
  it.effect("bytes that make no answer: without a requestTimeout it is left at the session's deadline", () =>
    Effect.gen(function*() {
      const deed = HostileServer.endless["a byte now and then"]
      const { hostile } = yield* world({ deed, state: "at the first read", seed: 1, duration: 0 })
      const zk = yield* connect(hostile, { requestTimeout: undefined })
      const reading = yield* Effect.forkChild(Effect.flip(zk.get("/")), { startImmediately: true })
      yield* pass(5)
      assert.isUndefined(reading.pollUnsafe())
      hostile.repent()
      yield* pass(1)
      const error = yield* Fiber.join(reading)
      assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "ConnectionLoss")
      assert.include(error.message, "no answer before the session's deadline")
      assert.isAbove(hostile.sent(), 4)
    }).pipe(closing, Effect.provide(Logger.layer([]))))

  for (const [name, deed] of Object.entries(HostileServer.endless)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const sent = yield* everywhere({ deed, duration: 10, before: alive() })
        // Else its bound would say nothing.
        if (HostileServer.borne.some((each) => each === name)) assert.isAbove(sent, mostMemory * 3 / 2)
      }))
  }
})
