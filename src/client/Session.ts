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
import type { NonEmptyReadonlyArray } from "effect/Array"
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
import type * as Sasl from "../Sasl.ts"
import { hexadecimal, type SessionCredentials, type SessionInfo, type SessionState } from "../SessionState.ts"
import {
  type AttemptFailure,
  AuthFailed,
  Closed,
  ConnectionError,
  ConnectionLoss,
  type Reason,
  SessionExpired,
  Tls,
  Unreachable
} from "../ZooKeeperError.ts"
import { type Asked, closeSession, Connection, type Limits } from "./Connection.ts"
import { Fifo } from "./Fifo.ts"
import * as HostList from "./HostList.ts"
import { call, Pending, xidAfter } from "./Request.ts"
import * as SaslExchange from "./SaslExchange.ts"
import * as ServerProbe from "./ServerProbe.ts"
import * as Telemetry from "./Telemetry.ts"
import { speaksTls } from "./TlsProbe.ts"
import { WatchRegistry } from "./WatchRegistry.ts"

export interface Credential {
  readonly scheme: string
  readonly credential: Redacted.Redacted<Uint8Array>
}

export interface Options {
  readonly servers: ConnectionString
  readonly dial: (host: Host) => Effect.Effect<Socket.Socket>
  readonly sasl: Sasl.Mechanism | undefined
  /** Whether `dial` is known to speak no TLS. */
  readonly isPlain: boolean
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

const noPassword = new Uint8Array(16)

/** Share of the timeout by which the client gives up a session before the server can. */
const margin = 0.1
/** In ms: what a connection attempt is given at least; where a session is to be saved, a third of its timeout bounds it. */
const leastAttempt = 1000
/** In ms: a connection that lived shorter does not count as a sign of health. */
const briefest = 1000
/** In ms: how long requests in flight may delay that a connection is left. */
const longestDrain = 1000
/** In ms: the first pause of the search for a server with quorum, and the longest. */
const firstSearch = 100
const longestSearch = 60_000
/** Rounds in which all servers were behind us, after which we believe that data was lost. */
const roundsBehind = 8
/** In ms: after a loss, clients spread their first attempts over this time. */
const spread = 200

/** Why a connection ended that was given up for a better one. */
const left = new ConnectionLoss({ detail: "left for another server" })

const failure = (reason: Reason) => new ConnectionError({ reason, outcome: "NotApplied" })

/** An error with its stack is built where someone asks for it. */
const failing = (reason: Reason) => Effect.suspend(() => Effect.fail(failure(reason)))

/** A step that a server must not draw out. */
const bounded = (step: Effect.Effect<void, ConnectionError>, name: string, within: number) =>
  Effect.timeoutOrElse(step, {
    duration: within,
    orElse: () => failing(new ConnectionLoss({ detail: `no end of ${name} within ${Math.round(within)} ms` }))
  })

type Attempt =
  /**
   * The server could not take us, or the connection was lost later. It was `held` from the handshake on, and has
   * `served` once a request was answered; one that is `silent` hung up on the handshake without a word.
   */
  | {
    readonly _tag: "Lost"
    readonly served: boolean
    readonly held: boolean
    readonly silent: boolean
    readonly error: ConnectionError
  }
  /** The server says that the session is over. */
  | { readonly _tag: "Refused" }

type Pause = (input: undefined) => Effect.Effect<unknown, unknown>

export class Session {
  readonly watches = new WatchRegistry()
  readonly state: SubscriptionRef.SubscriptionRef<SessionState>
  private readonly options: Options
  private readonly clock: Clock.Clock
  private readonly telemetry: Telemetry.Telemetry
  private readonly hosts: HostList.HostList
  private readonly credentials: Array<Credential>
  private readonly waiting = new Fifo()
  private readonly attempts = new Map<string, AttemptFailure>()
  private connection: Connection | undefined
  /** The connection on which the credentials went out: one that is added now must follow them there. */
  private introduced: Connection | undefined
  private ready = false
  private terminal: Reason | undefined
  private detached = false
  private fiber: Fiber.Fiber<void> | undefined
  private watcher: Fiber.Fiber<void> | undefined

  private id = 0n
  private password: Uint8Array = noPassword
  private timeout: number
  private lastZxid = 0n
  private readOnly = false
  /** Whether a server with quorum knows the session; those of read-only servers are known to nobody else. */
  private isGlobal: boolean
  /** Requests that may be in flight on the connection, 0 when it is about to be left. */
  private window: number
  private readonly refusing = new Set<string>()
  private behind = { rounds: 0, found: 0n }
  private server: Host | undefined
  private xid = 0
  private provenAt = 0
  private provenWall = 0
  private ended = Deferred.makeUnsafe<never, ConnectionError>()
  private connecting = Deferred.makeUnsafe<void>()
  /** Done while the state is not Connected. */
  private disconnection = Deferred.makeUnsafe<void>()
  private hadSession = false

  constructor(
    options: Options,
    clock: Clock.Clock,
    hosts: HostList.HostList,
    state: SubscriptionRef.SubscriptionRef<SessionState>,
    telemetry: Telemetry.Telemetry
  ) {
    this.options = options
    this.clock = clock
    this.telemetry = telemetry
    this.hosts = hosts
    this.state = state
    Deferred.doneUnsafe(this.disconnection, Exit.void)
    this.timeout = options.sessionTimeout
    this.credentials = [...options.credentials]
    this.window = options.maxInFlight
    this.isGlobal = options.resume !== undefined
    if (options.resume !== undefined) {
      this.id = options.resume.id
      this.password = Redacted.value(options.resume.password)
      this.lastZxid = options.resume.lastZxid
      this.prove({ at: this.now(), wall: clock.currentTimeMillisUnsafe() })
    }
  }

  // -------------------------------------------------------------------------
  // requests
  // -------------------------------------------------------------------------

  /** Sends, or keeps until there is a connection. Returns whether it was kept. */
  submit(pending: Pending): boolean {
    const { connection } = this
    pending.telemetry = this.telemetry
    if (this.ready && connection !== undefined && connection.isOpen) {
      if (this.waiting.size === 0 && connection.inFlight < this.window) {
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
    while (this.waiting.size > 0 && connection.isOpen && connection.inFlight < this.window) {
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

  /** Both clocks as they were then: the machine may have slept while the answer was on its way. */
  private prove({ at, wall }: Asked): void {
    this.provenAt = at
    this.provenWall = wall
  }

  /** Monotonic ms at which the session is given up, as far as could be known then. */
  private deadlineAt({ at, wall }: Asked): number {
    // A machine that slept has a wall clock far ahead of the monotonic one: the session slept through that time.
    const slept = wall - this.provenWall - (at - this.provenAt)
    return this.provenAt + this.timeout * (1 - margin) - (slept > 1000 ? slept : 0)
  }

  private readonly deadline = (): number =>
    this.deadlineAt({ at: this.now(), wall: this.clock.currentTimeMillisUnsafe() })

  /** Whether the session is sure to live now, by the clock alone. */
  get isAlive(): boolean {
    return this.id !== 0n && this.terminal === undefined && this.now() < this.deadline()
  }

  // -------------------------------------------------------------------------
  // state
  // -------------------------------------------------------------------------

  private announce(state: SessionState): Effect.Effect<void> {
    return Effect.suspend(() => {
      const isConnected = state._tag === "Connected"
      if (isConnected && Deferred.isDoneUnsafe(this.disconnection)) this.disconnection = Deferred.makeUnsafe()
      const { disconnection } = this
      const set = SubscriptionRef.set(this.state, state)
      // Whoever waits for it finds the state that it is about.
      return isConnected ? set : Effect.andThen(set, Deferred.done(disconnection, Exit.void))
    })
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

  // What the gauges show.

  get inFlight(): number {
    return this.connection?.inFlight ?? 0
  }

  get waitingRequests(): number {
    return this.waiting.size
  }

  get stateTag(): SessionState["_tag"] {
    return SubscriptionRef.getUnsafe(this.state)._tag
  }

  /** Those that are tried. */
  get servers(): ReadonlyArray<Host> {
    return this.hosts.all
  }

  /** Whether there will never be another session. */
  get isOver(): boolean {
    return this.terminal !== undefined
  }

  get currentId(): bigint {
    return this.id
  }

  /** Completes when the state is not Connected: now, or next. */
  get untilDisconnected(): Effect.Effect<void> {
    return Effect.suspend(() => Deferred.await(this.disconnection))
  }

  /** Fails when the session that is current now has ended. */
  get untilEnded(): Effect.Effect<never, ConnectionError> {
    return Deferred.await(this.ended)
  }

  private expire(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const sessionId = this.id
      const { found, rounds } = this.behind
      const lastZxid = this.lastZxid
      const reason = new SessionExpired(rounds === 0 ? {} : { dataLoss: { seen: lastZxid, found } })
      this.behind = { rounds: 0, found: 0n }
      this.telemetry.sessionExpired()
      this.id = 0n
      this.isGlobal = false
      this.password = noPassword
      this.lastZxid = 0n
      this.timeout = this.options.sessionTimeout
      this.ready = false
      if (this.options.onExpiry === "end") {
        this.terminal = reason
        Deferred.doneUnsafe(this.connecting, Exit.void)
      }
      const { ended } = this
      // Whoever asks after the last session is told of its end as well.
      if (this.terminal === undefined) this.ended = Deferred.makeUnsafe()
      Deferred.doneUnsafe(ended, failing(reason))
      this.failWaiting(reason)
      this.watches.fail(reason, this.terminal !== undefined)
      return Effect.logWarning(rounds === 0 ? "ZooKeeper session expired" : `ZooKeeper: ${reason.message}`).pipe(
        Effect.annotateLogs({
          sessionId: hexadecimal(sessionId),
          server: this.server === undefined ? "none" : formatHost(this.server),
          lastZxid: hexadecimal(lastZxid)
        }),
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
      Deferred.doneUnsafe(this.ended, failing(reason))
      this.failWaiting(reason)
      this.watches.fail(reason, true)
      Deferred.doneUnsafe(this.connecting, Exit.void)
      const { id, lastZxid, server } = this
      return Effect.andThen(
        state._tag === "AuthFailed"
          ? Effect.logError(`ZooKeeper: ${reason.message}; this client is of no more use`).pipe(
            Effect.annotateLogs({
              sessionId: hexadecimal(id),
              server: server === undefined ? "none" : formatHost(server),
              lastZxid: hexadecimal(lastZxid)
            })
          )
          : Effect.void,
        this.announce(state)
      )
    })
  }

  // -------------------------------------------------------------------------
  // the loop
  // -------------------------------------------------------------------------

  private readonly nextXid = (): number => this.xid = xidAfter(this.xid)

  private loop(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      let pause: Pause | undefined
      let wasServed = false
      let wasBrief = false
      if (this.id !== 0n) yield* this.watchDeadline()
      while (this.terminal === undefined) {
        const { host, roundCompleted } = this.hosts.next()
        if (roundCompleted) {
          yield* Effect.logWarning("No ZooKeeper server serves us; trying again").pipe(
            Effect.annotateLogs({
              attempts: this.describeAttempts(),
              sessionId: hexadecimal(this.id),
              lastZxid: hexadecimal(this.lastZxid)
            })
          )
          yield* this.lookForDataLoss
        }
        if (roundCompleted || wasBrief) {
          pause ??= yield* Schedule.toStepWithSleep(this.options.reconnect)
          // A schedule that ends is begun anew: its owner may end, the client must not.
          const next = Effect.catchCause(pause(undefined), () =>
            Effect.flatMap(Schedule.toStepWithSleep(this.options.reconnect), (again) => {
              pause = again
              return Effect.ignore(again(undefined))
            }))
          yield* Effect.timeoutOption(next, this.longestPause(wasBrief))
        } else if (wasServed) {
          yield* Effect.sleep(yield* Random.nextBetween(0, spread))
        }
        // The session may have ended during the pause, and with `onExpiry: "end"` the client, too.
        if (this.terminal !== undefined) return
        const begunAt = this.now()
        const attempt = yield* this.attempt(host)
        if (attempt._tag === "Lost" && this.terminal === undefined) yield* this.tellLoss(host, attempt)
        wasServed = attempt._tag === "Lost" && attempt.served
        // A server that serves a moment and hangs up, again and again, is backed off from like one that refuses.
        wasBrief = wasServed && this.now() - begunAt < briefest
        if (wasServed && !wasBrief) pause = undefined
        if (attempt._tag === "Refused") {
          this.hosts.succeeded()
          yield* this.expire()
        } else {
          const { reason } = attempt.error
          if (attempt.silent) this.refusing.add(formatHost(host))
          else this.refusing.delete(formatHost(host))
          if (reason._tag !== "Unreachable") this.attempts.set(formatHost(host), reason)
          if (reason._tag === "AuthFailed" || reason._tag === "AuthRequired") {
            yield* this.finish(reason, { _tag: "AuthFailed" })
          }
        }
      }
    })
  }

  /** In ms: no pause may cost a session that can still be saved. */
  private longestPause(wasBrief: boolean): number {
    if (this.id === 0n) return Infinity
    return Math.min(this.timeout / 3, wasBrief ? briefest : Infinity)
  }

  /** What breaks here is a fault of ours: nobody is left waiting for it. */
  private guarded(life: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.tapCause(life, (cause) =>
      Effect.andThen(
        Effect.logError("ZooKeeper session loop broke", cause),
        this.finish(new Closed({}), { _tag: "Closed" })
      ))
  }

  /** A connection that was held is worth a line; attempts are told of by the round. */
  private tellLoss(host: Host, { error, held }: Extract<Attempt, { readonly _tag: "Lost" }>): Effect.Effect<void> {
    if (!held) {
      this.telemetry.attempted("failed")
      return Effect.void
    }
    this.telemetry.disconnected()
    const told = error.reason === left
      ? Effect.logInfo("ZooKeeper connection left; connecting to another server")
      : Effect.logWarning("ZooKeeper connection lost; reconnecting")
    return told.pipe(
      Effect.annotateLogs({
        sessionId: hexadecimal(this.id),
        server: formatHost(host),
        lastZxid: hexadecimal(this.lastZxid),
        reason: error.reason.message
      })
    )
  }

  private describeAttempts(): string {
    return Array.from(this.attempts, ([host, { message }]) => `${host}: ${message}`).join("; ")
  }

  private attempt(host: Host): Effect.Effect<Attempt> {
    return Effect.suspend(() => {
      let served = false
      let held = false
      const sessionId = this.id
      const connection = new Connection({
        clock: this.clock,
        limits: this.options.limits,
        nextXid: this.nextXid,
        listener: {
          proven: (asked) => {
            // The handshake alone proves little: servers that hang up behind it must be backed off from.
            if (!served) {
              served = true
              this.hosts.succeeded()
              this.attempts.clear()
              this.refusing.clear()
              this.behind = { rounds: 0, found: 0n }
            }
            // Asked behind the deadline it proves nothing: others may have what this session held, and a server that
            // lags does not know yet. The connection is given up for that, and the session with it.
            if (this.connection === connection && asked.at >= this.provenAt && asked.at < this.deadlineAt(asked)) {
              this.prove(asked)
            }
            this.telemetry.roundTrip(this.now() - asked.at)
          },
          zxid: (zxid) => {
            if (zxid > this.lastZxid) this.lastZxid = zxid
          },
          notified: (type, path) => {
            this.telemetry.notified()
            this.watches.dispatch(type, path)
          },
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
      const longest = this.timeout / 3
      const least = sessionId === 0n ? leastAttempt : Math.min(leastAttempt, longest)
      const within = Math.max(Math.min(this.timeout / this.hosts.size, longest), least)
      const asked = { at: this.now(), wall: this.clock.currentTimeMillisUnsafe() }
      return Effect.gen({ self: this }, function*() {
        const socket = yield* this.options.dial(host)
        const opened = Effect.catchIf(
          connection.open(socket, request),
          () => this.isSilent(connection),
          (error) => this.explainSilence(host, error)
        )
        const { response, serve } = yield* Effect.timeoutOrElse(opened, {
          duration: within,
          orElse: () =>
            Effect.fail(failure(new ConnectionLoss({ detail: `no handshake within ${Math.round(within)} ms` })))
        })
        // The session was given up while this server was asked for it: nobody wants it back.
        if (this.id !== sessionId) {
          return { _tag: "Lost", served: true, held, silent: false, error: failure(new SessionExpired({})) } satisfies Attempt
        }
        if (response.timeOut <= 0) return { _tag: "Refused" } satisfies Attempt
        if (!this.hosts.has(host)) {
          const reason = new ConnectionLoss({ detail: "it is none of the servers any more" })
          return { _tag: "Lost", served: true, held, silent: false, error: failure(reason) } satisfies Attempt
        }
        held = true
        yield* this.established(connection, host, response, asked)
        if (this.readOnly) yield* Effect.forkScoped(this.searchReadWrite(connection, host))
        const error = yield* Effect.flip(serve(this.timeout, this.deadline, this.prepare(connection, host, within)))
        return { _tag: "Lost", served, held, silent: false, error } satisfies Attempt
      }).pipe(
        Effect.scoped,
        Effect.catch((error) =>
          Effect.succeed<Attempt>({ _tag: "Lost", served, held, silent: this.isSilent(connection), error })
        ),
        Effect.onExit(() => this.disconnected(connection))
      )
    })
  }

  /** Hung up on without a word: no quorum, too many connections, data that is older than ours, or a TLS port. */
  private isSilent(connection: Connection): boolean {
    return connection.wasAsked && !connection.wasHeard
  }

  /** A server that has never served us is asked once whether it speaks TLS. */
  private explainSilence(host: Host, error: ConnectionError): Effect.Effect<never, ConnectionError> {
    return Effect.suspend(() => {
      const server = formatHost(host)
      if (!this.options.isPlain || this.hadSession || error.reason._tag !== "ConnectionLoss") return Effect.fail(error)
      const known = this.attempts.get(server)
      if (known !== undefined && known._tag !== "Tls") return Effect.fail(error)
      return Effect.flatMap(Effect.flatMap(this.options.dial(host), speaksTls), (isTls) =>
        isTls ? failure(new Tls({ problem: "TlsServer", detail: "" })) : error)
    })
  }

  /** Servers that are behind what we have seen refuse us without a word; for good, where data was lost. */
  private get lookForDataLoss(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { all } = this.hosts
      if (this.id === 0n || this.lastZxid === 0n || all.some((host) => !this.refusing.has(formatHost(host)))) {
        return Effect.void
      }
      return ServerProbe.newestZxid(this.options.dial, all).pipe(
        // One that does not tell may be the one that has it all.
        Effect.orElseSucceed(() => this.lastZxid),
        Effect.flatMap((found) => {
          this.behind = found < this.lastZxid ? { rounds: this.behind.rounds + 1, found } : { rounds: 0, found: 0n }
          return this.behind.rounds < roundsBehind || this.id === 0n ? Effect.void : this.expire()
        })
      )
    })
  }

  /** While the server is read-only: asks the others whether they have a quorum, and goes to the first that has. */
  private searchReadWrite(connection: Connection, current: Host): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      let at = 0
      for (let pause = firstSearch; connection.isOpen; pause = Math.min(2 * pause, longestSearch)) {
        yield* Effect.sleep(pause)
        const others = this.hosts.all.filter((host) => formatHost(host) !== formatHost(current))
        const host = others[at++ % Math.max(1, others.length)]
        if (host === undefined || !(yield* ServerProbe.hasQuorum(this.options.dial, host))) continue
        this.hosts.prefer(host)
        yield* Effect.logDebug("ZooKeeper: found a server that has a quorum").pipe(
          Effect.annotateLogs({ server: formatHost(host) })
        )
        return yield* this.moveAway(connection)
      }
    })
  }

  /** Lets what is in flight be answered, then drops the connection; the loop makes the next one. */
  private moveAway(connection: Connection): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.window = 0
      const until = this.now() + longestDrain
      return Effect.whileLoop({
        while: () => connection.isOpen && connection.inFlight > 0 && this.now() < until,
        body: () => Effect.sleep(5),
        step: () => {}
      }).pipe(
        Effect.ensuring(Effect.sync(() => connection.leave(left)))
      )
    })
  }

  /** Goes on with other servers; by the odds that spread clients evenly, this connection is left for one of them. */
  updateHosts(hosts: NonEmptyReadonlyArray<Host>): Effect.Effect<void> {
    return Effect.flatMap(this.hosts.update(hosts), (moves) => {
      this.attempts.clear()
      this.refusing.clear()
      const { connection } = this
      return moves && connection !== undefined && this.terminal === undefined
        ? Effect.uninterruptible(this.moveAway(connection))
        : Effect.void
    })
  }

  private established(
    connection: Connection,
    server: Host,
    response: typeof Protocol.ConnectResponse.Type,
    asked: Asked
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const resumed = this.id === response.sessionId
      const relativeZxid = this.lastZxid
      this.id = response.sessionId
      this.password = response.passwd.slice()
      this.timeout = response.timeOut
      this.readOnly = response.readOnly ?? false
      this.isGlobal = resumed ? this.isGlobal || !this.readOnly : !this.readOnly
      this.window = this.options.maxInFlight
      this.server = server
      this.connection = connection
      this.prove(asked)
      this.rearm = { relativeZxid, newSession: !resumed }
      const { watcher } = this
      this.watcher = undefined
      this.telemetry.attempted("connected")
      return (resumed ? Effect.logInfo("ZooKeeper session resumed") : Effect.logDebug("ZooKeeper session established")).pipe(
        Effect.annotateLogs({
          sessionId: hexadecimal(this.id),
          server: formatHost(server),
          timeout: this.timeout,
          lastZxid: hexadecimal(relativeZxid)
        }),
        Effect.andThen(watcher === undefined ? Effect.void : Fiber.interrupt(watcher))
      )
    })
  }

  private rearm = { relativeZxid: 0n, newSession: true }

  /** Who we are comes before all else, alone; then identities and watches. Only then is what waited sent. */
  private prepare(connection: Connection, server: Host, within: number): Effect.Effect<void, ConnectionError> {
    const { sasl } = this.options
    if (sasl === undefined) return this.rearmed(connection)
    return Effect.andThen(
      bounded(Effect.scoped(SaslExchange.authenticate(connection, sasl, server)), "SASL", within),
      this.rearmed(connection)
    )
  }

  private rearmed(connection: Connection): Effect.Effect<void, ConnectionError> {
    const authenticated = Effect.suspend(() => {
      this.introduced = connection
      return Effect.forEach(this.credentials, (credential) => this.authenticate(connection, credential), {
        concurrency: "unbounded",
        discard: true
      })
    })
    const armed = Effect.suspend(() => {
      const batches = this.watches.connected((pending) => connection.enqueue(pending), {
        ...this.rearm,
        maxRequestSize: this.options.limits.maxRequestSize
      })
      this.telemetry.rearmed(batches.length)
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
    const confirmed = Effect.all([authenticated, armed], { concurrency: "unbounded", discard: true })
    const isNothing = this.credentials.length === 0 && this.watches.size === 0
    // A server that answers pings, and these never, keeps a session that is of no use to anybody.
    return (isNothing ? confirmed : bounded(confirmed, "identities and watches", this.timeout)).pipe(
      Effect.andThen(Effect.suspend((): Effect.Effect<void, ConnectionError> => {
        // An identity that was added meanwhile may have been refused.
        if (this.terminal !== undefined) return failing(this.terminal)
        this.ready = true
        if (this.hadSession) {
          const reason = this.rearm.newSession ? "NewSession" : "Reconnected"
          this.telemetry.gap(reason)
          this.watches.gap(reason)
        }
        this.hadSession = true
        // Whoever waits for the connection finds the state that says so; and a connection lost meanwhile leaves no one waiting.
        return Effect.uninterruptible(Effect.andThen(
          this.announce({ _tag: "Connected", sessionId: this.id, readOnly: this.readOnly }),
          Effect.sync(() => {
            Deferred.doneUnsafe(this.connecting, Exit.void)
            this.release()
          })
        ))
      }))
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
      this.connection = this.introduced = undefined
      this.watches.disconnected()
      const wasReady = this.ready
      this.ready = false
      if (this.terminal !== undefined || this.id === 0n) return Effect.void
      if (!this.isGlobal) return this.forget(wasReady)
      if (!wasReady) return this.watchDeadline()
      this.connecting = Deferred.makeUnsafe()
      const wall = this.clock.currentTimeMillisUnsafe()
      return Effect.andThen(
        this.announce({
          _tag: "Suspended",
          sessionId: this.id,
          since: wall,
          deadline: wall + Math.max(0, this.deadline() - this.now())
        }),
        this.watchDeadline()
      )
    })
  }

  /** A session of a read-only server ends with the connection, and nothing could be bound to it. */
  private forget(wasReady: boolean): Effect.Effect<void> {
    this.id = 0n
    this.password = noPassword
    if (!wasReady) return Effect.void
    this.connecting = Deferred.makeUnsafe()
    return this.announce({ _tag: "Connecting" })
  }

  /** While no connection proves the session, it is given up at its deadline; connections do that themselves. */
  private watchDeadline(): Effect.Effect<void> {
    const { id } = this
    return Effect.gen({ self: this }, function*() {
      while (this.connection === undefined && this.id === id && this.terminal === undefined) {
        const left = this.deadline() - this.now()
        if (left <= 0) return yield* this.expire()
        yield* Effect.sleep(Math.max(1, Math.ceil(left)))
      }
    }).pipe(
      (watching) => Effect.forkChild(this.guarded(watching), { startImmediately: true }),
      Effect.map((fiber) => {
        this.watcher = fiber
      })
    )
  }

  // -------------------------------------------------------------------------
  // public life
  // -------------------------------------------------------------------------

  /** The session, once connected. */
  get connected(): Effect.Effect<SessionInfo, ConnectionError> {
    return Effect.suspend(() => this.awaitConnected())
  }

  private awaitConnected(): Effect.Effect<SessionInfo, ConnectionError> {
    const { info } = this
    if (info !== undefined) return Effect.succeed(info)
    if (this.terminal !== undefined) return failing(this.terminal)
    return Effect.flatMap(Deferred.await(this.connecting), () => this.awaitConnected())
  }

  /** Adds an identity: at once where connected, else with the next connection. */
  addAuth(credential: Credential): Effect.Effect<void, ConnectionError> {
    return Effect.suspend(() => {
      if (this.terminal !== undefined) return failing(this.terminal)
      const known = this.credentials.some((other) =>
        other.scheme === credential.scheme && equalBytes(other.credential, credential.credential)
      )
      if (!known) this.credentials.push(credential)
      const { connection } = this
      return connection !== undefined && this.introduced === connection
        ? Effect.tapError(this.authenticate(connection, credential), ({ reason }) =>
          reason._tag === "AuthFailed" ? this.finish(reason, { _tag: "AuthFailed" }) : Effect.void)
        : Effect.asVoid(this.connected)
    })
  }

  get detach(): Effect.Effect<SessionCredentials, ConnectionError> {
    return Effect.suspend(() => {
      if (this.terminal !== undefined) return failing(this.terminal)
      this.detached = true
      const { resumable } = this
      return Effect.as(this.close, resumable)
    })
  }

  /** Ends the session on the server if that is possible in time, then everything else. */
  get close(): Effect.Effect<void> {
    const farewell = this.connected.pipe(
      Effect.andThen(Effect.callback<void, ConnectionError>((resume) => {
        const pending = Pending.make(closeSession, {}, { path: undefined }, resume)
        if (this.connection === undefined) pending.fail(new Closed({}), "NotApplied")
        else this.connection.enqueue(pending)
      })),
      Effect.timeoutOption(this.options.closeTimeout),
      Effect.ignore
    )
    return Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      if (this.terminal === undefined && !this.detached && this.id !== 0n) {
        // In a fiber of its own: who closes may have been interrupted, and could wait for nothing any more.
        yield* Fiber.await(yield* Effect.forkDetach(farewell, { startImmediately: true }))
      }
      yield* this.finish(new Closed({}), { _tag: "Closed" })
      if (this.fiber !== undefined) yield* Fiber.interrupt(this.fiber)
    }))
  }

  /** Runs the loop in the scope and waits for the first connection. */
  get start(): Effect.Effect<void, ConnectionError, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const { connectTimeout } = this.options
      yield* Effect.acquireRelease(
        Effect.map(
          Effect.forkDetach(this.guarded(this.loop()), { startImmediately: true }),
          (fiber) => this.fiber = fiber
        ),
        () => this.close
      )
      yield* Effect.timeoutOrElse(this.connected, {
        duration: connectTimeout,
        orElse: () =>
          Effect.fail(failure(
            new Unreachable({
              attempts: this.describeAttempts()
                || this.options.servers.hosts.map((host) => `${formatHost(host)}: no answer yet`).join("; "),
              reasons: Array.from(this.attempts, ([server, reason]) => ({ server, reason })),
              millis: connectTimeout
            })
          ))
      })
    })
  }
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
  const telemetry = yield* Telemetry.telemetry
  const session = new Session(options, clock, hosts, state, telemetry)
  yield* Effect.acquireRelease(
    Effect.sync(() => telemetry.opened(session)),
    () => Effect.sync(() => telemetry.closed(session))
  )
  yield* session.start
  return session
})
