/**
 * The in-memory ZooKeeper: the whole server side of the protocol, without I/O.
 * Bytes in, bytes out, time from an Effect `Clock`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

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

/** The release whose behaviour is shown. */
export type Compat = "3.4" | "3.5" | "3.6" | "3.8" | "3.9"

export interface Options {
  /** The server's unit of time in ms. Default 2000. */
  readonly tickTime?: number | undefined
  /** In ms. Default: 2 ticks. */
  readonly minSessionTimeout?: number | undefined
  /** In ms. Default: 20 ticks. */
  readonly maxSessionTimeout?: number | undefined
  /** Default "3.9". */
  readonly compat?: Compat | undefined
  /** `user:base64(sha1("user:password"))` of the superuser. Default: there is none. */
  readonly superDigest?: string | undefined
  /** `jute.maxbuffer`: the largest frame taken from a client, in bytes. Default 1 048 575. */
  readonly maxBuffer?: number | undefined
}

export interface SessionView {
  readonly id: bigint
  readonly timeout: number
  readonly connected: boolean
  readonly listener: string | undefined
  readonly ephemerals: ReadonlyArray<string>
}

export class Server {
  readonly options: Options
  readonly clock: Clock.Clock

  constructor(options: Options, clock: Clock.Clock) {
    this.options = options
    this.clock = clock
  }

  accept(link: Link): Peer {
    link.close()
    return { receive: () => {}, closed: () => {} }
  }

  /** Expiry of sessions, containers and TTL znodes. */
  tick(): void {}

  /** In how many ms from now {@link tick} may have something to do; `Infinity`: never, as it stands. */
  get untilTick(): number {
    return Infinity
  }

  /** As if the session's time had run out. False if there is no such session. */
  expireSession(id: bigint): boolean {
    return id < 0n
  }

  /** Makes one listener (default: all) read-only, or ends that. */
  setReadOnly(readOnly: boolean, listener?: string): void {
    void readOnly
    void listener
  }

  get sessions(): ReadonlyArray<SessionView> {
    return []
  }
}

/** A server whose time passes by the Effect `Clock` for as long as the scope is open. */
export const make = (options: Options = {}): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.map(Clock.Clock, (clock) => new Server(options, clock))
