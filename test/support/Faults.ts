/** Faults at chosen requests, for recipes: replies lost, sessions ended, callers interrupted. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
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

/** A client behind a proxy, one that is not, and a znode. */
export const world = (
  options?: Partial<ZooKeeper.Options>
): Effect.Effect<World, ZooKeeper.CreateError, Scope.Scope> =>
  Effect.gen(function*() {
    const proxy = yield* makeProxy
    const witness = yield* ZooKeeper.make({ hosts: shared ?? sharedHost })
    const path = yield* root(witness)
    const zk = yield* through(proxy, options)
    return { proxy, zk, witness, root: path }
  })

/** Ends the client's session on the server while the client is cut off, and lets it come back. */
export const expire = ({ proxy, zk }: World) =>
  Effect.gen(function*() {
    const expired = yield* Effect.forkChild(untilState(zk, "Expired"), { startImmediately: true })
    yield* proxy.refuse(true)
    proxy.cut()
    yield* Fiber.join(expired)
    yield* proxy.refuse(false)
    yield* zk.session
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

/** Completes when the condition holds; looked at again and again, for what no event tells. */
export const eventually = <E, R>(condition: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.flatMap(condition, (holds) => holds ? Effect.void : Effect.andThen(Effect.sleep(10), eventually(condition)))
