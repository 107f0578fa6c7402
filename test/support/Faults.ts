/** Faults at chosen requests, for recipes: replies lost, sessions ended, callers interrupted. */
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { proxy as makeProxy, root, shared, sharedHost, through, untilState } from "./Clients.ts"
import * as Proxy from "./Proxy.ts"

/** The connection is cut in place of the n-th reply, from 0, that fits: the server has done it, the client does not know. */
export const loseReply = (
  proxy: Proxy.Proxy,
  fits: (reply: Proxy.Reply) => boolean,
  n = 0
): { readonly lost: () => number } => {
  let seen = 0
  let lost = 0
  proxy.onReply((reply) => {
    if (!fits(reply) || reply.index === 0 || seen++ !== n) return undefined
    lost++
    return { _tag: "Cut" }
  })
  return { lost: () => lost }
}

/** Whether a frame answers an operation of a recipe, and not the client's own business. */
export const isOperation = ({ opCode }: { readonly opCode: number }): boolean =>
  opCode > 0 && opCode !== OpCode.Ping && opCode !== OpCode.SetWatches && opCode !== OpCode.SetWatches2

export interface World {
  readonly proxy: Proxy.Proxy
  /** The client behind the proxy. */
  readonly zk: ZooKeeper.Service
  /** One that nothing happens to. */
  readonly witness: ZooKeeper.Service
  /** A znode of the test's own. */
  readonly root: string
}

/** Between two tries to connect: these tests lose one connection after the other, and are not about the pauses. */
export const promptly = Schedule.spaced("20 millis")

/** A client behind a proxy, one that is not, and a znode. */
export const world = (
  options?: Partial<ZooKeeper.Options>
): Effect.Effect<World, ZooKeeper.CreateError, Scope.Scope> =>
  Effect.gen(function*() {
    const proxy = yield* makeProxy
    const witness = yield* ZooKeeper.make({ hosts: shared ?? sharedHost })
    const path = yield* root(witness)
    const zk = yield* through(proxy, { reconnect: promptly, ...options })
    return { proxy, zk, witness, root: path }
  })

/**
 * Tests of worlds, each its own, on the shared server. They wait for sessions
 * to end most of the time, and do so together.
 */
export const faults = (
  title: string,
  body: (
    test: <E>(
      title: string,
      body: (world: World) => Effect.Effect<void, E, Scope.Scope>,
      options?: Partial<ZooKeeper.Options>
    ) => void
  ) => void
): void => {
  describe.skipIf(shared === undefined).concurrent(title, () =>
    body((title, body, options) =>
      it.live(title, () =>
        Effect.flatMap(world(options), body).pipe(
          // Lost connections are what these tests are about.
          Effect.provideService(References.MinimumLogLevel, "Error")
        ), 60_000)
    ))
}

/** For {@link faults}: a session that ends soon. */
export const brief = { sessionTimeout: "1 second" } as const

/** The client is cut off until its session has ended, and something else has been done. */
export const expire = <A = void, E = never, R = never>(
  { proxy, zk }: Pick<World, "proxy" | "zk">,
  meanwhile: Effect.Effect<A, E, R> | Effect.Effect<void> = Effect.void
) =>
  Effect.gen(function*() {
    const expired = yield* Effect.forkChild(untilState(zk, "Expired"), { startImmediately: true })
    yield* proxy.refuse(true)
    proxy.cut()
    yield* Fiber.join(expired)
    yield* meanwhile
    yield* proxy.refuse(false)
    yield* zk.session
  })

/**
 * Runs something whose next transaction is lost, or the reply to it, and the
 * session with it. The server has ended it when the client comes back: a single
 * znode is left below the root.
 */
export const lostWithSession = <A, E, R>(
  { proxy, root, witness, zk }: World,
  what: "request" | "reply",
  effect: Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const expired = yield* Effect.forkChild(untilState(zk, "Expired"), { startImmediately: true })
    let lost = 0
    const lose = ({ opCode }: { readonly opCode: number }) =>
      opCode === OpCode.Multi && lost++ === 0 ? { _tag: "Cut" } as const : undefined
    if (what === "request") proxy.onRequest(lose)
    else proxy.onReply(lose)
    const running = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* proxy.until(() => lost > 0)
    yield* proxy.refuse(true)
    yield* Fiber.join(expired)
    yield* eventually(Effect.map(witness.getChildren(root), (names) => names.length === 1))
    yield* proxy.refuse(false)
    return yield* Fiber.join(running)
  })

/**
 * Runs something again and again, each time with a fault at a later request,
 * until it runs to its end without meeting it. Returns how many requests there
 * were, so that a test can tell that it tested something.
 */
export const atEveryRequest = <E, R>(
  run: (index: number, reached: () => boolean) => Effect.Effect<void, E, R>,
  fault: (index: number) => { readonly isReached: () => boolean; readonly remove: () => void }
): Effect.Effect<number, E, R> =>
  Effect.gen(function*() {
    for (let index = 0;; index++) {
      const { isReached, remove } = fault(index)
      yield* run(index, isReached)
      remove()
      if (!isReached()) return index
    }
  })

/** The n-th operation from now is lost with its reply, and the connection with it. */
export const cutAt = (proxy: Proxy.Proxy) => (index: number) => {
  let seen = 0
  let reached = false
  const remove = proxy.onReply((reply) => {
    if (reply.index === 0 || reply.xid <= 0 || !isOperation(reply) || seen++ !== index) return undefined
    reached = true
    return { _tag: "Cut" }
  })
  return { isReached: () => reached, remove }
}

/**
 * Runs an effect and interrupts it when its n-th request (from 0) passes the
 * proxy; with `lost`, the reply to that request is lost as well. Tells whether
 * there was such a request.
 */
export const interruptedAt = <A, E, R>(
  proxy: Proxy.Proxy,
  index: number,
  effect: Effect.Effect<A, E, R>,
  lost = false
): Effect.Effect<boolean, never, R> =>
  Effect.gen(function*() {
    let seen = 0
    let reached = false
    const remove = proxy.onRequest((request) => {
      if (!isOperation(request) || seen++ !== index) return undefined
      reached = true
      if (lost) {
        const forget = proxy.onReply((reply) => {
          if (reply.connection !== request.connection || reply.xid !== request.xid) return undefined
          forget()
          return { _tag: "Cut" }
        })
      }
      return undefined
    })
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* Effect.raceFirst(Fiber.await(fiber), proxy.until(() => reached))
    yield* Fiber.interrupt(fiber)
    remove()
    return reached
  })

/**
 * Rounds of something that is interrupted at a later request each time, until it
 * runs to its end; first with the reply to it, then without. Each round has a
 * name of its own. Returns how many requests there were, the lesser number.
 */
export const interruptedAtEveryRequest = <E, R>(
  proxy: Proxy.Proxy,
  round: (
    name: string,
    interrupted: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<boolean, never, R>
  ) => Effect.Effect<void, E, R>
): Effect.Effect<number, E, R> =>
  Effect.gen(function*() {
    const counts: Array<number> = []
    for (const lost of [false, true]) {
      for (let index = 0;; index++) {
        let isReached = false
        yield* round(`${lost ? "lost" : "kept"}-${index}`, (effect) =>
          Effect.tap(interruptedAt(proxy, index, effect, lost), (reached) =>
            Effect.sync(() => {
              isReached = reached
            })))
        if (isReached) continue
        counts.push(index)
        break
      }
    }
    return Math.min(...counts)
  })

/** Completes when the condition holds; looked at again and again, for what no event tells. */
export const eventually = <E, R>(condition: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.flatMap(condition, (holds) => holds ? Effect.void : Effect.andThen(Effect.sleep(10), eventually(condition)))
