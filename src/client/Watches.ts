/**
 * Watches as streams and one-shot effects over the registry.
 *
 * A stream that follows a znode reads, emits, and sleeps until it is woken; any
 * number of wake-ups while it reads or its consumer works collapse into one.
 * Waiting fibers are resumed inside the read loop, so that an event is seen
 * before the result of a request that could show the new state.
 */
import { isReadonlyArrayNonEmpty, type NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { NodeEvent, WatchEvent } from "../WatchEvent.ts"
import type { Watched } from "../ZooKeeper.ts"
import { ConnectionError, type Reason } from "../ZooKeeperError.ts"
import type { Consumer, Kind, WatchRegistry } from "./WatchRegistry.ts"

/** Events that one consumer may leave untaken; beyond them it is told of a gap. */
const largestMailbox = 16_384

/** How long a read that failed waits for a reason to be repeated. */
const patience = "1 second"

/** What one consumer has not yet seen. Taking it waits in place, without a scheduler hop. */
class Mailbox<A> {
  private items: Array<A> = []
  private failed: ConnectionError | undefined
  private taker: ((exit: Exit.Exit<NonEmptyReadonlyArray<A>, ConnectionError>) => void) | undefined

  get size(): number {
    return this.items.length
  }

  clear(): void {
    this.items = []
  }

  offer(item: A): void {
    this.items.push(item)
    this.wake()
  }

  fail(error: ConnectionError): void {
    this.failed ??= error
    this.wake()
  }

  private wake(): void {
    const { taker } = this
    const ready = taker === undefined ? undefined : this.poll()
    if (taker === undefined || ready === undefined) return
    this.taker = undefined
    taker(ready)
  }

  private poll(): Exit.Exit<NonEmptyReadonlyArray<A>, ConnectionError> | undefined {
    const { items } = this
    if (isReadonlyArrayNonEmpty(items)) {
      this.items = []
      return Exit.succeed(items)
    }
    return this.failed === undefined ? undefined : Exit.fail(this.failed)
  }

  readonly take: Effect.Effect<NonEmptyReadonlyArray<A>, ConnectionError> = Effect.callback((resume) => {
    const ready = this.poll()
    if (ready !== undefined) return resume(ready)
    this.taker = resume
    // Nothing may be given to a taker that is gone.
    return Effect.sync(() => {
      if (this.taker === resume) this.taker = undefined
    })
  })
}

const subscribe = (
  registry: WatchRegistry,
  serverPath: string,
  consumer: Consumer
): Effect.Effect<Consumer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      registry.add(serverPath, consumer)
      return consumer
    }),
    () => Effect.sync(() => registry.remove(serverPath, consumer))
  )

/** Failures after which a follower simply waits for the next connection. */
const isPassing = (error: unknown): error is ConnectionError =>
  error instanceof ConnectionError && (error.isRetryable || error.reason._tag === "SessionExpired")

/** What is followed: how it is read, and when two readings are the same state. */
export interface Following<A, E> {
  readonly path: string
  readonly serverPath: string
  readonly kind: Extract<Kind, "node" | "children">
  readonly read: Effect.Effect<Option.Option<A>, E | ConnectionError>
  readonly isSame: (previous: A, next: A) => boolean
}

/** The current state first, then every later one; states between two reads may collapse, the last is never lost. */
export const follow = <A, E>(
  registry: WatchRegistry,
  { isSame, kind, path, read, serverPath }: Following<A, E>
): Stream.Stream<Option.Option<A>, E | ConnectionError> =>
  Stream.unwrap(Effect.gen(function*() {
    const wakeUps = new Mailbox<void>()
    // A read that failed, or may have, is repeated once there is a connection again.
    let stale = false
    const wake = () => {
      if (wakeUps.size === 0) wakeUps.offer(undefined)
    }
    yield* subscribe(registry, serverPath, {
      kind,
      notify: wake,
      gap: (reason) => {
        if (stale || reason !== "Reconnected") wake()
      },
      fail: (reason) =>
        wakeUps.fail(new ConnectionError({ reason, outcome: "NotApplied", operation: "changes", path }))
    })
    let last: Option.Option<A> | undefined
    const attempt: Effect.Effect<Option.Option<A> | undefined, E | ConnectionError> = Effect.suspend(() => {
      stale = true
      return Effect.map(read, (state) => {
        stale = false
        return state
      })
    }).pipe(
      // A server may refuse a read and keep the connection: nothing will wake us then.
      Effect.catchIf(isPassing, () => Effect.as(Effect.timeoutOption(wakeUps.take, patience), undefined))
    )
    const next: Effect.Effect<NonEmptyReadonlyArray<Option.Option<A>>, E | ConnectionError> = Effect.gen(function*() {
      if (last !== undefined && !stale) yield* wakeUps.take
      while (true) {
        const state = yield* attempt
        if (state === undefined) continue
        registry.observed(serverPath, Option.isSome(state))
        const unchanged = last !== undefined
          && Option.match(last, {
            onNone: () => Option.isNone(state),
            onSome: (previous) => Option.isSome(state) && isSame(previous, state.value)
          })
        last = state
        if (!unchanged) return [state]
        yield* wakeUps.take
      }
    })
    return Stream.fromPull(Effect.succeed(next))
  }))

/** Every event, with a `Gap` wherever some may be missing. */
export const events = (
  registry: WatchRegistry,
  options: {
    readonly path: string
    readonly serverPath: string
    readonly kind: Extract<Kind, "persistent" | "recursive">
    readonly clientPath: (serverPath: string) => string
  }
): Stream.Stream<WatchEvent, ConnectionError> =>
  Stream.unwrap(Effect.gen(function*() {
    const mailbox = new Mailbox<WatchEvent>()
    const offer = (event: WatchEvent) => {
      if (mailbox.size < largestMailbox) return mailbox.offer(event)
      mailbox.clear()
      mailbox.offer({ _tag: "Gap", reason: "Overflow" })
    }
    yield* subscribe(registry, options.serverPath, {
      kind: options.kind,
      notify: (_tag, serverPath) => offer({ _tag, path: options.clientPath(serverPath) }),
      gap: (reason) => offer({ _tag: "Gap", reason }),
      fail: (reason) =>
        mailbox.fail(new ConnectionError({ reason, outcome: "NotApplied", operation: "watch", path: options.path }))
    })
    return Stream.fromPull(Effect.succeed(mailbox.take))
  }))

type Observer = (exit: Exit.Exit<NodeEvent, ConnectionError>) => void

const nobody: ReadonlyArray<Observer> = []

/** A fault of an observer is the caller's: it must cost neither the connection nor the others their event. */
const tell = (observer: Observer, exit: Exit.Exit<NodeEvent, ConnectionError>): void => {
  try {
    observer(exit)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/**
 * The one-shot watches of one scope, with one finalizer for all; nothing is left
 * of those that are over. A watch knows its place, which the last one takes: a
 * Set does the same for 0.2 µs more per event.
 */
class Holding {
  isReleased = false
  private readonly watches: Array<Once> = []

  add(once: Once): void {
    once.place = this.watches.length
    this.watches.push(once)
  }

  forget(once: Once): void {
    if (once.place < 0) return
    const last = this.watches.pop()
    if (last === undefined || last === once) return
    this.watches[once.place] = last
    last.place = once.place
  }

  release(): void {
    this.isReleased = true
    for (const once of [...this.watches]) once.cancel()
  }
}

const holdings = new WeakMap<Scope.Scope, Holding>()

/** What holds the one-shot watches of the scope that is current. */
export const holding: Effect.Effect<Holding, never, Scope.Scope> = Effect.flatMap(Effect.scope, (scope) => {
  const known = holdings.get(scope)
  if (known !== undefined) return Effect.succeed(known)
  const made = new Holding()
  holdings.set(scope, made)
  return Effect.uninterruptible(Effect.as(Effect.addFinalizer(() => Effect.sync(() => made.release())), made))
})

/** A one-shot watch: completes with the first event, or fails with the end of its session. */
export class Once implements Consumer {
  readonly kind: Extract<Kind, "nodeOnce" | "childrenOnce">
  private readonly registry: WatchRegistry
  private readonly holding: Holding
  private readonly serverPath: string
  private readonly path: string
  /** Events before the answer of the read that came with the watch are in that answer. */
  private armed = false
  private isOver = false
  /** For who holds it. */
  place = -1
  private exit: Exit.Exit<NodeEvent, ConnectionError> | undefined
  // Replaced, not changed: there is rarely more than one, and nobody moves while all are told.
  private observers: ReadonlyArray<Observer> = nobody

  constructor(options: {
    readonly kind: Once["kind"]
    readonly registry: WatchRegistry
    readonly holding: Holding
    readonly serverPath: string
    readonly path: string
  }) {
    this.kind = options.kind
    this.registry = options.registry
    this.holding = options.holding
    this.serverPath = options.serverPath
    this.path = options.path
    if (this.holding.isReleased) return
    this.holding.add(this)
    this.registry.add(this.serverPath, this)
  }

  arm(): void {
    this.armed = true
  }

  cancel(): void {
    if (this.isOver) return
    this.isOver = true
    this.holding.forget(this)
    this.registry.remove(this.serverPath, this)
  }

  observe(observer: Observer): () => void {
    if (this.exit === undefined) this.observers = this.observers.concat(observer)
    else tell(observer, this.exit)
    return () => {
      this.observers = this.observers.filter((other) => other !== observer)
    }
  }

  notify(tag: NodeEvent["_tag"]): void {
    if (this.armed) this.finish(Exit.succeed({ _tag: tag, path: this.path }))
  }

  /** After a reconnect the server says by itself whether the znode has changed. */
  gap(): void {}

  fail(reason: Reason): void {
    this.finish(
      Exit.fail(new ConnectionError({ reason, outcome: "NotApplied", operation: "watch", path: this.path }))
    )
  }

  private finish(exit: Exit.Exit<NodeEvent, ConnectionError>): void {
    if (this.isOver) return
    this.exit = exit
    this.cancel()
    const { observers } = this
    this.observers = nobody
    for (const observer of observers) tell(observer, exit)
  }
}

/** What was read, with the watch that came with it. */
export class Reading<A> implements Watched<A> {
  readonly value: A
  private readonly once: Once

  constructor(value: A, once: Once) {
    this.value = value
    this.once = once
  }

  get event(): Effect.Effect<NodeEvent, ConnectionError> {
    return Effect.callback((resume) => Effect.sync(this.once.observe(resume)))
  }

  observe(observer: Observer): () => void {
    return this.once.observe(observer)
  }
}
