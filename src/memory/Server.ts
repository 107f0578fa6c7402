/**
 * The in-memory ZooKeeper: the whole server side of the protocol, without I/O.
 *
 * Bytes in, bytes out, time from an Effect `Clock`. Everything happens within
 * the call that brings it about, and what clients are to be told leaves at its
 * end, in one piece per connection.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { type Identity, superuser } from "./AccessControl.ts"
import { Connection } from "./Connection.ts"
import { DataTree } from "./DataTree.ts"
import * as FourLetterWord from "./FourLetterWord.ts"
import { establish, firstEpoch } from "./Membership.ts"
import { type Compat, type Release, releases } from "./Release.ts"
import { isPasswordOf } from "./SessionPassword.ts"
import { type Session, Sessions } from "./Sessions.ts"
import { digestId } from "./Sha1.ts"
import { modeNames } from "./WatchTable.ts"
import { deleteEphemerals, deleteUnused } from "./Writes.ts"

export type { Compat } from "./Release.ts"

/** What a connection is to the server: who dialled, and where its bytes go. */
export interface Link {
  /** Where the client comes from, for `ip` ACLs, `cons` and limits: `"127.0.0.1"`. */
  readonly remoteAddress: string
  /** The `host:port` under which the server was reached. Each listener is one member of the ensemble. */
  readonly listener: string
  /** Called synchronously; the bytes are the receiver's to keep. */
  readonly send: (bytes: Uint8Array) => void
  /** The server hangs up, after what was sent before. Called at most once, and not after {@link Peer.closed}. */
  readonly close: () => void
}

/** The server's side of one connection. */
export interface Peer {
  /** Bytes from the client, in any pieces. The chunk is read during the call only. Never throws. */
  readonly receive: (bytes: Uint8Array) => void
  /** The client or the network hung up. Idempotent. */
  readonly closed: () => void
}

export interface Options {
  /** The server's unit of time in ms. Default 2000. */
  readonly tickTime?: number | undefined
  /** In ms. Default: 2 ticks. */
  readonly minSessionTimeout?: number | undefined
  /** In ms. Default: 20 ticks. */
  readonly maxSessionTimeout?: number | undefined
  /** The release whose behaviour is shown. Default "3.9". */
  readonly compat?: Compat | undefined
  /** `user:base64(sha1("user:password"))` of the superuser. Default: there is none. */
  readonly superDigest?: string | undefined
  /** `jute.maxbuffer`: the largest frame taken from a client, in bytes. Default 1 048 575. */
  readonly maxBuffer?: number | undefined
  /** Whether there are TTL znodes. Default true; a real server's is false. */
  readonly extendedTypes?: boolean | undefined
  /** Whether hard quotas are enforced. Default true; a real server's is false. */
  readonly enforceQuota?: boolean | undefined
  /** How often unused containers and expired TTL znodes are deleted, in ms. Default 60 000. */
  readonly containerCheckInterval?: number | undefined
  /** Whether a read-only server opens sessions of its own. Default true; a real server's is false. */
  readonly localSessions?: boolean | undefined
  /** Connections from one address; more are hung up on. Default 0: any number. A real server's is 60. */
  readonly maxClientConnections?: number | undefined
  /** Requests of all clients per second; more are answered Throttled, and not done. Default 0: any number. */
  readonly requestsPerSecond?: number | undefined
  /** How long a connection may take for its handshake, in ms. Default 10 000. */
  readonly handshakeTimeout?: number | undefined
  /**
   * `host:port` of the members for `getConfig`, as an ensemble of them answers. Default: one of them,
   * `127.0.0.1:2181`. An empty list: a server that stands alone, which counts zxids from 1, has no
   * configuration, and no reconfig.
   */
  readonly members?: ReadonlyArray<string> | undefined
}

export interface SessionView {
  readonly id: bigint
  /** In ms. */
  readonly timeout: number
  readonly connected: boolean
  /** The listener that it belongs to. */
  readonly listener: string
  readonly ephemerals: ReadonlyArray<string>
}

export interface WatchView {
  readonly path: string
  readonly sessionId: bigint
  /** Which of the two lists it is in: data and existence, or children. Recursive ones are in the first. */
  readonly list: "data" | "child"
  readonly modes: ReadonlyArray<"oneShot" | "persistent" | "recursive">
}

const defaultMember = "127.0.0.1:2181"
const defaultMaxBuffer = 0xf_ffff

export class Server {
  readonly clock: Clock.Clock
  readonly release: Release
  readonly tree: DataTree<Connection>
  readonly tracker: Sessions
  readonly connections = new Set<Connection>()
  readonly tickTime: number
  readonly minSessionTimeout: number
  readonly maxSessionTimeout: number
  readonly maxBuffer: number
  readonly maxClientConnections: number
  readonly requestsPerSecond: number
  readonly hasExtendedTypes: boolean
  readonly enforcesQuota: boolean
  readonly hasLocalSessions: boolean
  readonly members: ReadonlyArray<string>
  /** The last transaction. */
  zxid: bigint
  /** Errors of the server itself, the first hundred; each cost one connection. */
  readonly defects: Array<unknown> = []
  /** Messages from and to all clients. */
  readonly traffic = { received: 0, sent: 0 }
  /** Told when {@link untilTick} became less. */
  onEarlier: () => void = () => {}
  private readonly superDigest: string | undefined
  private readonly containerCheckInterval: number
  private readonly handshakeTimeout: number
  private readonly readOnly = new Set<string>()
  private isWhollyReadOnly = false
  /** Connections without a session, the oldest first, and since when, in monotonic ms. */
  private readonly strangers = new Map<Connection, number>()
  private readonly written = new Set<Connection>()
  /** Monotonic ms; `Infinity` while there is nothing that could be unused. */
  private nextReaping = Infinity
  private readonly startedAt: number
  private second = { number: -1, requests: 0 }

  constructor(options: Options = {}, clock: Clock.Clock) {
    this.clock = clock
    this.release = releases[options.compat ?? "3.9"]
    this.tickTime = options.tickTime ?? 2000
    this.minSessionTimeout = options.minSessionTimeout ?? 2 * this.tickTime
    this.maxSessionTimeout = options.maxSessionTimeout ?? 20 * this.tickTime
    this.maxBuffer = options.maxBuffer ?? defaultMaxBuffer
    this.maxClientConnections = options.maxClientConnections ?? 0
    this.requestsPerSecond = options.requestsPerSecond ?? 0
    this.hasExtendedTypes = options.extendedTypes ?? true
    this.enforcesQuota = (options.enforceQuota ?? true) && this.release.hardQuotas
    this.hasLocalSessions = options.localSessions ?? true
    this.members = options.members ?? [defaultMember]
    this.superDigest = options.superDigest
    this.containerCheckInterval = options.containerCheckInterval ?? 60_000
    this.handshakeTimeout = options.handshakeTimeout ?? 10_000
    this.startedAt = this.elapsed
    this.tracker = new Sessions(this.tickTime, this.startedAt)
    this.tracker.onEarlier = () => this.onEarlier()
    this.tree = new DataTree(this.release.severalModes)
    this.zxid = this.members.length === 0 ? 0n : firstEpoch
    establish(this)
  }

  /** Wall clock, in ms since the epoch. */
  get now(): number {
    // A TestClock has parts of milliseconds, records have not.
    return Math.floor(this.clock.currentTimeMillisUnsafe())
  }

  /** Monotonic clock, in ms. */
  get elapsed(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  }

  /** In ms. */
  get uptime(): number {
    return this.elapsed - this.startedAt
  }

  // --- Connections

  accept(link: Link): Peer {
    const connection = new Connection(this, link)
    this.connections.add(connection)
    this.strangers.set(connection, this.elapsed)
    if (this.strangers.size === 1) this.onEarlier()
    if (this.maxClientConnections > 0 && this.connectionsFrom(link.remoteAddress) > this.maxClientConnections) {
      connection.close()
      this.flush()
    }
    return connection
  }

  private connectionsFrom(address: string): number {
    let count = 0
    for (const { link } of this.connections) if (link.remoteAddress === address) count++
    return count
  }

  /** A connection is over: with it go its watches. */
  forget(connection: Connection): void {
    this.connections.delete(connection)
    this.strangers.delete(connection)
    connection.session?.connections.delete(connection)
    this.tree.removeWatcher(connection)
  }

  /** A connection has something to send. */
  changed(connection: Connection): void {
    this.written.add(connection)
  }

  /** Sends what is to be sent. Whoever is called may call back. */
  flush(): void {
    for (const connection of this.written) {
      this.written.delete(connection)
      connection.flush()
    }
    if (this.nextReaping === Infinity && this.tree.containers.size + this.tree.ttls.size > 0) {
      const periods = Math.floor((this.elapsed - this.startedAt) / this.containerCheckInterval) + 1
      this.nextReaping = this.startedAt + periods * this.containerCheckInterval
      this.onEarlier()
    }
  }

  // --- Sessions

  /** The timeout for who asks for one, in ms. */
  grant(timeout: number): number {
    return Math.min(this.maxSessionTimeout, Math.max(this.minSessionTimeout, timeout))
  }

  openSession(timeout: number, listener: string): Session {
    const isLocal = this.isReadOnly(listener)
    if (!isLocal) this.nextZxid()
    return this.tracker.open(timeout, listener, isLocal, this.elapsed)
  }

  /** Whether the password fits; the session is the connection's then. */
  resumes(session: Session, password: Uint8Array, connection: Connection): boolean {
    if (!isPasswordOf(session.id, password)) return false
    session.timeout = connection.timeout
    session.owner = connection.link.listener
    this.touch(session)
    return true
  }

  attached(connection: Connection): void {
    this.strangers.delete(connection)
  }

  touch(session: Session): void {
    this.tracker.touch(session, this.elapsed)
  }

  /** Ends a session: its ephemerals go in one transaction, and its connections, but for the one that asked for it. */
  endSession(session: Session, asked?: Connection): void {
    this.tracker.close(session)
    if (!session.isLocal) deleteEphemerals(this.tree, session.id, this.nextZxid())
    for (const connection of [...session.connections]) if (connection !== asked) connection.close()
  }

  /** As if the session's time had run out. False if there is no such session. */
  expireSession(id: bigint): boolean {
    const session = this.tracker.get(id)
    if (session === undefined) return false
    this.endSession(session)
    this.flush()
    return true
  }

  /** As if the client had attached through another listener. False if there is no such session. */
  moveSession(id: bigint, listener: string): boolean {
    const session = this.tracker.get(id)
    if (session !== undefined) session.owner = listener
    return session !== undefined
  }

  // --- Requests

  /** Counts a request, and says whether it is one too many in this second. */
  throttles(): boolean {
    if (this.requestsPerSecond === 0) return false
    const second = Math.floor(this.elapsed / 1000)
    if (second !== this.second.number) this.second = { number: second, requests: 0 }
    return ++this.second.requests > this.requestsPerSecond
  }

  nextZxid(): bigint {
    return ++this.zxid
  }

  /** Who somebody proves to be with these credentials; `undefined`: nobody. */
  identitiesOf({ link }: Connection, scheme: string, credentials: Uint8Array): ReadonlyArray<Identity> | undefined {
    switch (scheme) {
      case "ip":
        return [{ scheme, id: link.remoteAddress }]
      case "digest": {
        const id = digestId(credentials)
        return id === this.superDigest ? [superuser, { scheme, id }] : [{ scheme, id }]
      }
      default:
        return undefined
    }
  }

  /** Answers a four-letter word. False if it is none. */
  command(connection: Connection, word: string): boolean {
    const answer = FourLetterWord.answer(this, connection, word)
    if (answer !== undefined) connection.say(answer)
    return answer !== undefined
  }

  // --- Read-only mode

  isReadOnly(listener: string): boolean {
    return this.isWhollyReadOnly || this.readOnly.has(listener)
  }

  /**
   * Makes one listener (default: all) read-only, as a server that has lost its
   * quorum, or ends that. Connections to it are closed, as a server does that
   * changes its mode.
   */
  setReadOnly(readOnly: boolean, listener?: string): void {
    if (listener === undefined) {
      this.isWhollyReadOnly = readOnly
      if (!readOnly) this.readOnly.clear()
    } else if (readOnly) {
      this.readOnly.add(listener)
    } else {
      this.readOnly.delete(listener)
    }
    for (const connection of [...this.connections]) {
      if (listener === undefined || connection.link.listener === listener) connection.close()
    }
    for (const session of [...this.tracker]) {
      if (session.isLocal && !this.isReadOnly(session.owner)) this.endSession(session)
    }
    this.flush()
  }

  // --- Time

  /** Ends what is over: sessions, handshakes that do not come, unused containers, TTL znodes. */
  tick(): void {
    const now = this.elapsed
    for (const session of this.tracker.expired(now)) this.endSession(session)
    for (const [connection, since] of this.strangers) {
      if (now - since < this.handshakeTimeout) break
      connection.close()
    }
    if (now >= this.nextReaping) {
      this.nextReaping = Infinity
      deleteUnused(this)
    }
    this.flush()
  }

  /** In how many ms from now {@link tick} may have something to do; `Infinity`: never, as it stands. */
  get untilTick(): number {
    const [oldest = Infinity] = this.strangers.values()
    const next = Math.min(this.tracker.nextDeadline, oldest + this.handshakeTimeout, this.nextReaping)
    return Math.max(0, next - this.elapsed)
  }

  /** Closes all connections. Sessions and data stay. */
  disconnectAll(): void {
    for (const connection of [...this.connections]) connection.close()
    this.flush()
  }

  // --- For looking inside

  get sessions(): ReadonlyArray<SessionView> {
    return [...this.tracker].map((session) => ({
      id: session.id,
      timeout: session.timeout,
      connected: session.connections.size > 0,
      listener: session.owner,
      ephemerals: [...this.tree.ephemerals.get(session.id) ?? []]
    }))
  }

  get watches(): ReadonlyArray<WatchView> {
    const view = (list: "data" | "child") =>
      Array.from(
        list === "data" ? this.tree.dataWatches.entries() : this.tree.childWatches.entries(),
        ([path, { sessionId }, modes]): WatchView => ({ path, sessionId, list, modes: modeNames(modes) })
      )
    return [...view("data"), ...view("child")]
  }
}

/** A server whose time passes by the Effect `Clock` for as long as the scope is open. */
export const make = (options: Options = {}): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const server = new Server(options, clock)
    const earlier = Latch.makeUnsafe()
    server.onEarlier = () => void earlier.openUnsafe()
    yield* Effect.addFinalizer(() => Effect.sync(() => server.disconnectAll()))
    yield* Effect.gen(function*() {
      earlier.closeUnsafe()
      server.tick()
      const wait = server.untilTick
      yield* wait === Infinity
        ? earlier.await
        : Effect.raceFirst(clock.sleep(Duration.millis(wait)), earlier.await)
    }).pipe(Effect.forever, Effect.forkScoped)
    return server
  })
