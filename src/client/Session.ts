/**
 * The session: one loop that picks a server, connects, authenticates, re-arms
 * watches and serves, for as long as its scope lives. It owns the id, the
 * password, the last zxid, the negotiated timeout and the deadline.
 *
 * A session is proven by round trips: it is sure to live until the send time of
 * the newest answered request plus the negotiated timeout. Less a margin, that
 * is the deadline at which the client gives the session up by itself, before a
 * server can give its ephemeral znodes to another.
 *
 * Not here: what requests mean, and chroots.
 */
import type * as Clock from "effect/Clock"
import * as ClockModule from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type ConnectionString, formatHost, type Host } from "../ConnectionString.ts"
import * as Protocol from "../jute/Protocol.ts"
import type { SessionCredentials, SessionInfo, SessionState } from "../SessionState.ts"
import {
  AuthFailed,
  Closed,
  ConnectionError,
  ConnectionLoss,
  type Reason,
  SessionExpired,
  Unreachable
} from "../ZooKeeperError.ts"
import { closeSession, Connection, type Limits } from "./Connection.ts"
import { Fifo } from "./Fifo.ts"
import * as HostList from "./HostList.ts"
import { call, Pending, xidAfter } from "./Request.ts"
import { WatchRegistry } from "./WatchRegistry.ts"

export interface Credential {
  readonly scheme: string
  readonly credential: Redacted.Redacted<Uint8Array>
}

export interface Options {
  readonly servers: ConnectionString
  readonly dial: (host: Host) => Effect.Effect<Socket.Socket>
  /** In ms, as asked for. */
  readonly sessionTimeout: number
  /** In ms: how long building may take. */
  readonly connectTimeout: number
  /** In ms: how long closing may take. */
  readonly closeTimeout: number
  readonly readOnly: boolean
  readonly failFast: boolean
  readonly onExpiry: "renew" | "end"
  readonly limits: Limits
  readonly maxInFlight: number
  /** Pauses between rounds over all servers. */
  readonly reconnect: Schedule.Schedule<unknown>
  readonly credentials: ReadonlyArray<Credential>
  readonly resume: SessionCredentials | undefined
}

const authenticate = call("addAuth", Protocol.operations.auth, { value: () => undefined })

/** Share of the timeout by which the client gives up a session before the server can. */
const margin = 0.1
/** In ms: what a connection attempt is given at least, for any number of servers; a third of the timeout bounds it. */
const leastAttempt = 1000
/** In ms: after a loss, clients spread their first attempts over this time. */
const spread = 200

const failure = (reason: Reason) => new ConnectionError({ reason, outcome: "NotApplied" })

const hex = (sessionId: bigint): string => `0x${BigInt.asUintN(64, sessionId).toString(16)}`

type Attempt =
  /** The server could not take us, or the connection was lost later. */
  | { readonly _tag: "Lost"; readonly served: boolean; readonly error: ConnectionError }
  /** The server says that the session is over. */
  | { readonly _tag: "Refused" }

export class Session {
  readonly watches = new WatchRegistry()
  readonly state: SubscriptionRef.SubscriptionRef<SessionState>
  private readonly options: Options
  private readonly clock: Clock.Clock
  private readonly hosts: HostList.HostList
  private readonly credentials: Array<Credential>
  private readonly waiting = new Fifo()
  private readonly attempts = new Map<string, string>()
  private connection: Connection | undefined
  private ready = false
  private terminal: Reason | undefined
  private detached = false
  private fiber: Fiber.Fiber<void> | undefined

  private id = 0n
  private password: Uint8Array = new Uint8Array(16)
  private timeout: number
  private lastZxid = 0n
  private readOnly = false
  private server: Host | undefined
  private xid = 0
  private provenAt = 0
  private provenWall = 0
  private ended = Deferred.makeUnsafe<never, ConnectionError>()
  private connecting = Deferred.makeUnsafe<void>()
  private hadSession = false

  constructor(
    options: Options,
    clock: Clock.Clock,
    hosts: HostList.HostList,
    state: SubscriptionRef.SubscriptionRef<SessionState>
  ) {
    this.options = options
    this.clock = clock
    this.hosts = hosts
    this.state = state
    this.timeout = options.sessionTimeout
    this.credentials = [...options.credentials]
    if (options.resume !== undefined) {
      this.id = options.resume.id
      this.password = Redacted.value(options.resume.password)
      this.lastZxid = options.resume.lastZxid
      this.prove(this.now())
    }
  }

  // -------------------------------------------------------------------------
  // requests
  // -------------------------------------------------------------------------

  /** Sends, or keeps until there is a connection. Returns whether it was kept. */
  submit(pending: Pending): boolean {
    const { connection } = this
    if (this.ready && connection !== undefined && connection.isOpen) {
      if (this.waiting.size === 0 && connection.inFlight < this.options.maxInFlight) {
        connection.enqueue(pending)
        return false
      }
    } else if (this.terminal !== undefined) {
      pending.fail(this.terminal, "NotApplied")
      return false
    } else if (this.options.failFast) {
      pending.fail(new ConnectionLoss({ detail: "not connected" }), "NotApplied")
      return false
    }
    this.waiting.push(pending)
    return true
  }

  private readonly release = (): void => {
    const { connection } = this
    if (!this.ready || connection === undefined || this.waiting.size === 0) return
    while (this.waiting.size > 0 && connection.isOpen && connection.inFlight < this.options.maxInFlight) {
      const pending = this.waiting.shift()
      if (pending !== undefined && !pending.cancelled) connection.enqueue(pending)
    }
  }

  private failWaiting(reason: Reason): void {
    // Only those that wait now: whoever is told may ask anew, for the next session.
    for (let left = this.waiting.size; left > 0; left--) {
      const pending = this.waiting.shift()
      if (pending !== undefined && !pending.cancelled) pending.fail(reason, "NotApplied")
    }
  }

  // -------------------------------------------------------------------------
  // time
  // -------------------------------------------------------------------------

  private now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  private prove(sentAt: number): void {
    const now = this.now()
    this.provenAt = sentAt
    this.provenWall = this.clock.currentTimeMillisUnsafe() - (now - sentAt)
  }

  /** Monotonic ms at which the session is given up. */
  private readonly deadline = (): number => {
    const now = this.now()
    // A machine that slept has a wall clock far ahead of the monotonic one: the session slept through that time.
    const slept = this.clock.currentTimeMillisUnsafe() - this.provenWall - (now - this.provenAt)
    return this.provenAt + this.timeout * (1 - margin) - (slept > 1000 ? slept : 0)
  }

  /** Whether the session is sure to live now, by the clock alone. */
  get isAlive(): boolean {
    return this.id !== 0n && this.terminal === undefined && this.now() < this.deadline()
  }

  // -------------------------------------------------------------------------
  // state
  // -------------------------------------------------------------------------

  private announce(state: SessionState): Effect.Effect<void> {
    return SubscriptionRef.set(this.state, state)
  }

  get info(): SessionInfo | undefined {
    if (!this.ready || this.server === undefined) return undefined
    const { ended, id } = this
    return {
      ...this.resumable,
      timeout: this.timeout,
      readOnly: this.readOnly,
      server: this.server,
      isAlive: Effect.sync(() => this.id === id && this.isAlive),
      ended: Deferred.await(ended)
    }
  }

  get resumable(): SessionCredentials {
    return { id: this.id, password: Redacted.make(this.password), lastZxid: this.lastZxid }
  }

  get currentId(): bigint {
    return this.id
  }

  /** Fails when the session that is current now has ended. */
  get untilEnded(): Effect.Effect<never, ConnectionError> {
    return Deferred.await(this.ended)
  }

  private expire(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const sessionId = this.id
      const reason = new SessionExpired({})
      this.id = 0n
      this.password = new Uint8Array(16)
      this.lastZxid = 0n
      this.timeout = this.options.sessionTimeout
      this.ready = false
      if (this.options.onExpiry === "end") {
        this.terminal = reason
        Deferred.doneUnsafe(this.connecting, Exit.void)
      }
      const { ended } = this
      this.ended = Deferred.makeUnsafe()
      Deferred.doneUnsafe(ended, Exit.fail(failure(reason)))
      this.failWaiting(reason)
      this.watches.fail(reason, this.terminal !== undefined)
      return Effect.logWarning("ZooKeeper session expired").pipe(
        Effect.annotateLogs({ sessionId: hex(sessionId) }),
        Effect.andThen(this.announce({ _tag: "Expired", sessionId })),
        Effect.andThen(this.terminal === undefined ? this.announce({ _tag: "Connecting" }) : Effect.void)
      )
    })
  }

  private finish(reason: Reason, state: SessionState): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.terminal !== undefined) return Effect.void
      this.terminal = reason
      this.ready = false
      Deferred.doneUnsafe(this.ended, Exit.fail(failure(reason)))
      this.failWaiting(reason)
      this.watches.fail(reason, true)
      Deferred.doneUnsafe(this.connecting, Exit.void)
      return this.announce(state)
    })
  }

  // -------------------------------------------------------------------------
  // the loop
  // -------------------------------------------------------------------------

  private readonly nextXid = (): number => this.xid = xidAfter(this.xid)

  private readonly loop: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    let pause = yield* Schedule.toStepWithSleep(this.options.reconnect)
    let wasServed = false
    while (this.terminal === undefined) {
      const { host, roundCompleted } = this.hosts.next()
      if (roundCompleted) {
        yield* Effect.logWarning("No ZooKeeper server serves us; trying again").pipe(
          Effect.annotateLogs({ attempts: this.describeAttempts() })
        )
        // A schedule that ends is begun anew: its owner may end, the client must not.
        yield* Effect.catchCause(pause(undefined), () =>
          Effect.flatMap(Schedule.toStepWithSleep(this.options.reconnect), (again) => {
            pause = again
            return Effect.ignore(pause(undefined))
          }))
      } else if (wasServed) {
        yield* Effect.sleep(yield* Random.nextBetween(0, spread))
      }
      const attempt = yield* this.attempt(host)
      wasServed = attempt._tag === "Lost" && attempt.served
      if (wasServed) pause = yield* Schedule.toStepWithSleep(this.options.reconnect)
      if (attempt._tag === "Refused") {
        this.hosts.succeeded()
        yield* this.expire()
      } else {
        const { reason } = attempt.error
        this.attempts.set(formatHost(host), reason.message)
        if (reason._tag === "AuthFailed" || reason._tag === "AuthRequired") {
          yield* this.finish(reason, { _tag: "AuthFailed" })
        }
      }
    }
  })

  private describeAttempts(): string {
    return Array.from(this.attempts, ([host, message]) => `${host}: ${message}`).join("; ")
  }

  private attempt(host: Host): Effect.Effect<Attempt> {
    return Effect.suspend(() => {
      let served = false
      const sessionId = this.id
      const connection = new Connection({
        clock: this.clock,
        limits: this.options.limits,
        nextXid: this.nextXid,
        listener: {
          proven: (sentAt) => {
            // The handshake alone proves little: servers that hang up behind it must be backed off from.
            if (!served) {
              served = true
              this.hosts.succeeded()
              this.attempts.clear()
            }
            if (this.connection === connection) this.prove(sentAt)
          },
          zxid: (zxid) => {
            if (zxid > this.lastZxid) this.lastZxid = zxid
          },
          notified: (type, path) => this.watches.dispatch(type, path),
          answered: this.release,
          interrupted: () => this.terminal ?? new ConnectionLoss({ detail: "closed by us" })
        }
      })
      const request = {
        protocolVersion: 0,
        lastZxidSeen: this.lastZxid,
        timeOut: this.options.sessionTimeout,
        sessionId,
        passwd: this.password,
        readOnly: this.options.readOnly
      }
      // A server that accepts before it serves answers nothing, ever: the session must outlive the wait for it.
      const within = Math.min(Math.max(this.timeout / this.hosts.size, leastAttempt), this.timeout / 3)
      const sentAt = this.now()
      return Effect.gen({ self: this }, function*() {
        const socket = yield* this.options.dial(host)
        const { response, serve } = yield* Effect.timeoutOrElse(connection.open(socket, request), {
          duration: within,
          orElse: () =>
            Effect.fail(failure(new ConnectionLoss({ detail: `no handshake within ${Math.round(within)} ms` })))
        })
        // The session was given up while this server was asked for it: nobody wants it back.
        if (this.id !== sessionId) {
          return { _tag: "Lost", served: true, error: failure(new SessionExpired({})) } satisfies Attempt
        }
        if (response.timeOut <= 0) return { _tag: "Refused" } satisfies Attempt
        yield* this.established(connection, host, response, sentAt)
        const error = yield* Effect.flip(
          Effect.raceFirst(serve(this.timeout, this.deadline), this.prepare(connection))
        )
        return { _tag: "Lost", served, error } satisfies Attempt
      }).pipe(
        Effect.scoped,
        Effect.catch((error) => Effect.succeed<Attempt>({ _tag: "Lost", served, error })),
        Effect.onExit(() => this.disconnected(connection))
      )
    })
  }

  private established(
    connection: Connection,
    server: Host,
    response: typeof Protocol.ConnectResponse.Type,
    sentAt: number
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const resumed = this.id === response.sessionId
      const relativeZxid = this.lastZxid
      this.id = response.sessionId
      this.password = response.passwd.slice()
      this.timeout = response.timeOut
      this.readOnly = response.readOnly ?? false
      this.server = server
      this.connection = connection
      this.prove(sentAt)
      this.rearm = { relativeZxid, newSession: !resumed }
      return Effect.logDebug(resumed ? "ZooKeeper session resumed" : "ZooKeeper session established").pipe(
        Effect.annotateLogs({ sessionId: hex(this.id), server: formatHost(server), timeout: this.timeout })
      )
    })
  }

  private rearm = { relativeZxid: 0n, newSession: true }

  /** Identities and watches first; only then is the client connected, and what waited is sent. */
  private prepare(connection: Connection): Effect.Effect<never, ConnectionError> {
    const authenticated = Effect.suspend(() =>
      Effect.forEach(this.credentials, (credential) => this.authenticate(connection, credential), {
        concurrency: "unbounded",
        discard: true
      })
    )
    const armed = Effect.suspend(() => {
      const batches = this.watches.connected((pending) => connection.enqueue(pending), {
        ...this.rearm,
        maxRequestSize: this.options.limits.maxRequestSize
      })
      return Effect.forEach(batches, (batch) =>
        Effect.callback<void, ConnectionError>((resume) => {
          connection.enqueue(
            Pending.make(batch.call, batch.request, { path: undefined }, (exit) => {
              batch.settled(exit)
              resume(exit)
            })
          )
        }), { concurrency: "unbounded", discard: true })
    })
    return Effect.all([authenticated, armed], { concurrency: "unbounded", discard: true }).pipe(
      Effect.andThen(Effect.suspend(() => {
        this.ready = true
        if (this.hadSession) this.watches.gap(this.rearm.newSession ? "NewSession" : "Reconnected")
        this.hadSession = true
        Deferred.doneUnsafe(this.connecting, Exit.void)
        this.release()
        return this.announce({ _tag: "Connected", sessionId: this.id, readOnly: this.readOnly })
      })),
      Effect.andThen(Effect.never)
    )
  }

  private authenticate(connection: Connection, { credential, scheme }: Credential) {
    return Effect.callback<void, ConnectionError>((resume) => {
      connection.enqueueAuth(
        Pending.make(
          authenticate,
          { type: 0, scheme, auth: Redacted.value(credential) },
          { path: undefined },
          resume
        )
      )
    }).pipe(
      Effect.mapError((error) =>
        error.reason._tag === "AuthFailed"
          ? new ConnectionError({ reason: new AuthFailed({ scheme }), outcome: "NotApplied", operation: "addAuth" })
          : error
      )
    )
  }

  private disconnected(connection: Connection): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.connection !== connection) return Effect.void
      this.connection = undefined
      this.watches.disconnected()
      const wasReady = this.ready
      this.ready = false
      if (this.terminal !== undefined || this.id === 0n || !wasReady) return Effect.void
      this.connecting = Deferred.makeUnsafe()
      const wall = this.clock.currentTimeMillisUnsafe()
      return this.announce({
        _tag: "Suspended",
        sessionId: this.id,
        since: wall,
        deadline: wall + Math.max(0, this.deadline() - this.now())
      })
    })
  }

  /** Gives the session up at its deadline, while no connection proves it. */
  private readonly watchDeadline: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (this.terminal === undefined) {
      if (this.id === 0n) {
        yield* Effect.sleep(Math.max(1, this.options.sessionTimeout * (1 - margin) / 2))
        continue
      }
      const left = this.deadline() - this.now()
      if (left > 0) yield* Effect.sleep(Math.max(1, Math.ceil(left)))
      else if (this.connection !== undefined) yield* Effect.sleep(2)
      else yield* this.expire()
    }
  })

  // -------------------------------------------------------------------------
  // public life
  // -------------------------------------------------------------------------

  /** The session, once connected. */
  readonly connected: Effect.Effect<SessionInfo, ConnectionError> = Effect.suspend(() => {
    const { info } = this
    if (info !== undefined) return Effect.succeed(info)
    if (this.terminal !== undefined) return Effect.fail(failure(this.terminal))
    return Effect.flatMap(Deferred.await(this.connecting), () => this.connected)
  })

  /** Adds an identity: at once where connected, else with the next connection. */
  addAuth(credential: Credential): Effect.Effect<void, ConnectionError> {
    return Effect.suspend(() => {
      if (this.terminal !== undefined) return Effect.fail(failure(this.terminal))
      const known = this.credentials.some((other) =>
        other.scheme === credential.scheme && equalBytes(other.credential, credential.credential)
      )
      if (!known) this.credentials.push(credential)
      const { connection } = this
      return this.ready && connection !== undefined
        ? Effect.tapError(this.authenticate(connection, credential), ({ reason }) =>
          reason._tag === "AuthFailed" ? this.finish(reason, { _tag: "AuthFailed" }) : Effect.void)
        : Effect.asVoid(this.connected)
    })
  }

  readonly detach: Effect.Effect<SessionCredentials, ConnectionError> = Effect.suspend(() => {
    if (this.terminal !== undefined) return Effect.fail(failure(this.terminal))
    this.detached = true
    const { resumable } = this
    return Effect.as(this.close, resumable)
  })

  /** Ends the session on the server if that is possible in time, then everything else. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    if (this.terminal === undefined && !this.detached && this.id !== 0n) {
      return Effect.interruptible(this.connected).pipe(
        Effect.andThen(Effect.callback<void, ConnectionError>((resume) => {
          const pending = Pending.make(closeSession, {}, { path: undefined }, resume)
          if (this.connection === undefined) pending.fail(new Closed({}), "NotApplied")
          else this.connection.enqueue(pending)
        })),
        Effect.timeoutOption(this.options.closeTimeout),
        Effect.ignore,
        Effect.interruptible
      )
    }
    return Effect.void
  }).pipe(
    Effect.andThen(Effect.suspend(() => this.finish(new Closed({}), { _tag: "Closed" }))),
    Effect.andThen(Effect.suspend(() => this.fiber === undefined ? Effect.void : Fiber.interrupt(this.fiber)))
  )

  /** Runs the loop in the scope and waits for the first connection. */
  readonly start: Effect.Effect<void, ConnectionError, Scope.Scope> = Effect.gen({ self: this }, function*() {
    const { connectTimeout } = this.options
    yield* Effect.acquireRelease(
      Effect.map(
        Effect.forkDetach(
          Effect.all([this.loop, this.watchDeadline], { concurrency: 2 }).pipe(
            Effect.asVoid,
            Effect.tapCause((cause) => Effect.logError("ZooKeeper session loop broke", cause)),
            // Whatever ends the loop, nobody is left waiting for it.
            Effect.onExit(() => this.finish(new Closed({}), { _tag: "Closed" }))
          )
        ),
        (fiber) => this.fiber = fiber
      ),
      () => this.close
    )
    yield* Effect.timeoutOrElse(this.connected, {
      duration: connectTimeout,
      orElse: () =>
        Effect.fail(failure(
          new Unreachable({
            attempts: this.describeAttempts() || this.options.servers.hosts.map(formatHost).join(", "),
            millis: connectTimeout
          })
        ))
    })
  })
}

const equalBytes = (a: Redacted.Redacted<Uint8Array>, b: Redacted.Redacted<Uint8Array>): boolean => {
  const left = Redacted.value(a)
  const right = Redacted.value(b)
  return left.length === right.length && left.every((byte, index) => byte === right[index])
}

export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Session, ConnectionError, Scope.Scope> {
  const clock = yield* ClockModule.Clock
  const hosts = yield* HostList.make(options.servers.hosts)
  const state = yield* SubscriptionRef.make<SessionState>({ _tag: "Connecting" })
  const session = new Session(options, clock, hosts, state)
  yield* session.start
  return session
})
