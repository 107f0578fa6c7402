/**
 * A TCP port in front of the in-memory server, through Node.
 *
 * Nothing that a peer does may cost more than its own connection: one that
 * sends and does not read is not read from, one that reads nothing of what it
 * is sent is dropped, and so is one that does not hang up when it was told to.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import type { Network } from "./Network.ts"

/** In bytes: beyond it a peer that does not read is not read from. */
const readPause = 1 << 20
/** In bytes: so much is read before that is looked at again. A thousand requests fit into a chunk, and a gigabyte into their replies. */
const readSize = 1024
/** In bytes: beyond it a peer that does not read is dropped. Twice the largest reply that servers make by default. */
const writeLimit = 64 << 20
/** In ms: how long a peer has to hang up behind the last bytes. */
const lingerTimeout = 2000

interface Accepted {
  readonly socket: Net.Socket
  /** In ms by the clock: dropped from then on. */
  closeDue: number
}

class Port {
  readonly sockets = new Set<Accepted>()
  readonly server: Net.Server
  private readonly network: Network

  constructor(network: Network) {
    this.network = network
    this.server = Net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.accept(socket))
  }

  private now(): number {
    return this.network.clock.currentTimeMillisUnsafe()
  }

  private accept(socket: Net.Socket): void {
    const address = this.server.address()
    const accepted: Accepted = { socket, closeDue: Infinity }
    socket.on("error", () => socket.destroy())
    const peer = this.network.accept({
      remoteAddress: (socket.remoteAddress ?? "").replace(/^::ffff:/, ""),
      listener: typeof address === "object" && address !== null ? nameOf(address) : "",
      send: (bytes) => {
        if (socket.destroyed || socket.writableEnded) return
        socket.write(bytes)
        if (socket.writableLength > writeLimit) socket.destroy()
      },
      close: () => {
        accepted.closeDue = this.now() + lingerTimeout
        // What is on its way here is read: unread bytes would make a reset of the end, and a reset loses the last reply.
        socket.resume().end()
      }
    }, { sessionId: 0n })
    if (peer === undefined) return void socket.resetAndDestroy()
    this.sockets.add(accepted)
    let unread: Uint8Array = new Uint8Array(0)
    const read = () => {
      let at = 0
      socket.cork()
      while (at < unread.length && socket.writableLength <= readPause) {
        peer.receive(unread.subarray(at, at + readSize))
        at += readSize
      }
      socket.uncork()
      unread = unread.subarray(at)
      if (unread.length === 0) socket.resume()
      else socket.pause()
    }
    socket.on("data", (chunk) => {
      unread = chunk
      read()
    })
    socket.on("drain", read)
    socket.on("end", () => {
      peer.closed()
      socket.end()
    })
    socket.on("close", () => {
      this.sockets.delete(accepted)
      peer.closed()
    })
  }

  /** Drops what is overdue. */
  sweep(): void {
    const now = this.now()
    for (const { closeDue, socket } of this.sockets) if (now >= closeDue) socket.destroy()
  }

  close(): void {
    this.server.close()
    for (const { socket } of this.sockets) socket.destroySoon()
  }

  destroy(): void {
    for (const { socket } of this.sockets) socket.destroy()
  }
}

const nameOf = ({ address, family, port }: Net.AddressInfo): string =>
  family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`

/** Why a port cannot be had: Node's code for it, and its words. */
export interface Problem {
  readonly code: string
  readonly message: string
}

const problemOf = (cause: unknown): Problem => ({
  code: cause instanceof Error && "code" in cause ? String(cause.code) : "",
  message: cause instanceof Error ? cause.message : String(cause)
})

const listening = (port: Port, options: Net.ListenOptions): Effect.Effect<void, Problem> =>
  Effect.callback((resume) => {
    port.server.once("error", (error) => resume(Effect.fail(problemOf(error))))
    try {
      port.server.listen(options, () => resume(Effect.void))
    } catch (cause) {
      // A number that is no port is not told as an event.
      resume(Effect.fail(problemOf(cause)))
    }
  })

const closed = (port: Port): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    port.server.once("close", () => resume(Effect.void))
    port.close()
  }).pipe(
    Effect.timeoutOption(lingerTimeout),
    Effect.andThen(Effect.sync(() => port.destroy())),
    Effect.asVoid
  )

/** Listens for as long as the scope is open; returns the address. */
export const listen = (network: Network, options: { readonly port: number; readonly host: string }): Effect.Effect<
  { readonly port: number; readonly name: string },
  Problem,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const port = yield* Effect.acquireRelease(
      Effect.gen(function*() {
        const opened = new Port(network)
        yield* listening(opened, options)
        return opened
      }),
      closed
    )
    yield* Effect.forkScoped(Effect.repeat(Effect.sync(() => port.sweep()), Schedule.spaced("1 second")))
    const address = port.server.address() as Net.AddressInfo
    return { port: address.port, name: nameOf(address) }
  })
