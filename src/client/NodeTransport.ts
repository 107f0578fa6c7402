/**
 * TCP through Node; what runs on top of it is for others to say (`NodeTls`).
 *
 * All reads of a connection go into one buffer, and nothing is read while
 * nobody pulls: what a pull gave is valid until the next pull. Reads in memory
 * of their own, as streams hand them on, cost more than all that is done with
 * the bytes (512 KiB replies: 0.78 ms against 0.57 ms of CPU).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Socket from "effect/socket/Socket"
import * as Dns from "node:dns"
import * as Net from "node:net"
import type { Host } from "../ConnectionString.ts"
import { ConnectionError, ConnectionLoss } from "../ZooKeeperError.ts"

/** In bytes: the buffer grows when a read fills it, so that a thousand idle connections stay small. */
const firstRead = 1 << 10
const largestRead = 1 << 18

/** How a socket comes about. */
export interface Opening {
  readonly connect: (options: Net.TcpNetConnectOpts) => Net.Socket
  /** The event at which it can be used. */
  readonly opened: "connect" | "secureConnect"
  /** What an error of the socket means. */
  readonly explain: (cause: Error, socket: Net.Socket) => unknown
}

/** All addresses of a name, as `dns.lookup` finds them. */
export type Lookup = (
  name: string,
  done: (error: NodeJS.ErrnoException | null, addresses: Array<Dns.LookupAddress>) => void
) => void

export const failure = (reason: Socket.SocketErrorReason): Socket.SocketError => new Socket.SocketError({ reason })

const closed = (code: number): Socket.SocketError => failure(new Socket.SocketCloseError({ code }))

const unwritable = (): Socket.SocketError =>
  failure(new Socket.SocketWriteError({ cause: new Error("the socket is not open") }))

type Read = Exit.Exit<readonly [Uint8Array], Socket.SocketError>

/** What was read and not yet pulled, and who waits for it. */
class Reads {
  readonly socket: Net.Socket
  private readonly opening: Opening
  private bytes = Buffer.allocUnsafe(firstRead)
  private unread: Uint8Array | undefined
  private isPaused = false
  private why: (() => Socket.SocketError) | undefined
  private waiter: ((read: Read) => void) | undefined

  constructor({ host, port }: Host, opening: Opening, lookup: Net.TcpNetConnectOpts["lookup"]) {
    this.opening = opening
    this.socket = opening.connect({
      host,
      port,
      noDelay: true,
      lookup,
      onread: {
        buffer: () => this.bytes,
        callback: (size) => {
          const { bytes } = this
          this.unread = bytes.subarray(0, size)
          if (size === bytes.length && size < largestRead) this.bytes = Buffer.allocUnsafeSlow(16 * size)
          this.wake()
          // Whoever waits again is done with these bytes.
          this.isPaused = this.waiter === undefined
          return !this.isPaused
        }
      }
    })
    this.socket.on("end", () => this.end(() => closed(1000)))
    this.socket.on("error", (cause) => this.end(() => failure(new Socket.SocketReadError({ cause: opening.explain(cause, this.socket) }))))
    this.socket.on("close", (hadError) => this.end(() => closed(hadError ? 1006 : 1000)))
  }

  get opened(): Effect.Effect<void, Socket.SocketError> {
    return Effect.callback((resume) => {
      const { opening, socket } = this
      const onConnect = () => {
        socket.off("error", onError)
        resume(Exit.void)
      }
      const onError = (cause: Error) => {
        socket.off(opening.opened, onConnect)
        resume(Exit.fail(failure(
          new Socket.SocketOpenError({ kind: "Unknown", cause: opening.explain(cause, socket) })
        )))
      }
      socket.once(opening.opened, onConnect).once("error", onError)
    })
  }

  get pull(): Effect.Effect<readonly [Uint8Array], Socket.SocketError> {
    return Effect.callback((resume) => {
      const read = this.poll()
      if (read !== undefined) return resume(read)
      this.waiter = resume
      if (this.isPaused) {
        this.isPaused = false
        this.socket.resume()
      }
      return Effect.sync(() => {
        if (this.waiter === resume) this.waiter = undefined
      })
    })
  }

  close(): void {
    this.end(() => closed(1006))
    // What a peer does not read would keep the socket, and with it the process.
    if (this.socket.connecting || this.socket.writableLength > 0) this.socket.destroy()
    else this.socket.destroySoon()
  }

  /** The error is built for whoever pulls then: mostly nobody does. */
  private end(why: () => Socket.SocketError): void {
    this.why ??= why
    this.wake()
  }

  private wake(): void {
    const { waiter } = this
    const read = waiter === undefined ? undefined : this.poll()
    if (waiter === undefined || read === undefined) return
    this.waiter = undefined
    waiter(read)
  }

  private poll(): Read | undefined {
    const { unread } = this
    if (unread !== undefined) {
      this.unread = undefined
      return Exit.succeed([unread])
    }
    return this.why === undefined ? undefined : Exit.fail(this.why())
  }
}

const drained = (socket: Net.Socket): Effect.Effect<void, Socket.SocketError> =>
  Effect.callback((resume) => {
    const stop = () => void socket.off("drain", onDrain).off("close", onClose)
    const onDrain = () => {
      stop()
      resume(Exit.void)
    }
    const onClose = () => {
      stop()
      resume(Exit.fail(unwritable()))
    }
    socket.on("drain", onDrain).on("close", onClose)
    return Effect.sync(stop)
  })

const systemLookup: Lookup = (name, done) => Dns.lookup(name, { all: true }, done)

/** Tries the addresses in an order of their own: a name with many servers spreads clients, a dead address is skipped. */
const shuffled = (lookup: Lookup): Effect.Effect<Net.TcpNetConnectOpts["lookup"]> =>
  Effect.map(Random.next, (seed): Net.TcpNetConnectOpts["lookup"] => (name, options, done) =>
    lookup(name, (error, addresses) => {
      if (error !== null || addresses.length === 0) return done(error ?? notFound(name), [])
      const first = Math.floor(seed * addresses.length)
      const rotated = [...addresses.slice(first), ...addresses.slice(0, first)]
      if (options.all === true) return done(null, rotated)
      done(null, rotated[0]?.address ?? "", rotated[0]?.family)
    }))

const notFound = (name: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`${name} has no address`), { code: "ENOTFOUND" })

/** A socket to one server; the name is resolved anew each time the socket's reader is acquired. */
export const make = (
  server: Host,
  opening: Effect.Effect<Opening, Socket.SocketError>,
  lookup: Lookup = systemLookup
): Effect.Effect<Socket.Socket> =>
  Effect.sync(() => {
    let socket: Net.Socket | undefined
    const written = (write: (open: Net.Socket) => boolean): Effect.Effect<void, Socket.SocketError> =>
      Effect.suspend(() => {
        if (socket === undefined || socket.destroyed) return Effect.fail(unwritable())
        return write(socket) ? Effect.void : drained(socket)
      })
    const writer: Socket.Writer = {
      write: (chunk) =>
        written((open) => {
          if (!Socket.isCloseEvent(chunk)) return open.write(chunk)
          open.destroy()
          return true
        }),
      writeAll: (chunks) =>
        written((open) => {
          open.cork()
          const wasRoom = chunks.map((chunk) => open.write(chunk))
          open.uncork()
          return wasRoom.every(Boolean)
        })
    }
    return Socket.make({
      reader: Effect.flatMap(Effect.zip(opening, shuffled(lookup)), ([how, order]) =>
        Effect.flatMap(
          Effect.acquireRelease(
            Effect.sync(() => new Reads(server, how, order)),
            (reads) => Effect.sync(() => reads.close())
          ),
          (reads) =>
            Effect.map(reads.opened, () => {
              socket = reads.socket
              return { pull: reads.pull, upgrade: Socket.SocketUpgradeError.unsupported }
            })
        )),
      writer: Effect.acquireRelease(Effect.succeed(writer), () => Effect.sync(() => void socket?.end()))
    })
  })

const plain = Effect.succeed<Opening>({
  connect: (options) => Net.connect(options),
  opened: "connect",
  explain: (cause) => cause
})

/** TCP and nothing else. */
export const dial = (server: Host, lookup?: Lookup): Effect.Effect<Socket.Socket> => make(server, plain, lookup)

/** The servers that the SRV records of a name point to; those without a target or a port are none. */
export const lookupSrv = (name: string): Effect.Effect<ReadonlyArray<Host>, ConnectionError> =>
  Effect.tryPromise({
    try: () => Dns.promises.resolveSrv(name),
    catch: (cause) =>
      new ConnectionError({
        reason: new ConnectionLoss({ detail: cause instanceof Error ? cause.message : String(cause) }),
        outcome: "NotApplied",
        operation: `dns-srv ${name}`
      })
  }).pipe(Effect.map((records) =>
    records.flatMap(({ name: target, port }) => {
      const host = target.replace(/\.$/, "")
      return host === "" || port === 0 ? [] : [{ host, port }]
    })
  ))
