/**
 * TCP through Node. The only module here that needs Node.
 *
 * All reads of a connection go into one buffer, and nothing is read while
 * nobody pulls: what a pull gave is valid until the next pull. Reads in memory
 * of their own, as streams hand them on, cost more than all that is done with
 * the bytes (512 KiB replies: 0.78 ms against 0.57 ms of CPU).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Socket from "effect/socket/Socket"
import * as Net from "node:net"
import type { Host } from "../ConnectionString.ts"

/** In bytes: the buffer grows when a read fills it, so that a thousand idle connections stay small. */
const firstRead = 1 << 10
const largestRead = 1 << 18

const failure = (reason: Socket.SocketErrorReason): Socket.SocketError => new Socket.SocketError({ reason })

const closed = (code: number): Socket.SocketError => failure(new Socket.SocketCloseError({ code }))

const unwritable = (): Socket.SocketError =>
  failure(new Socket.SocketWriteError({ cause: new Error("the socket is not open") }))

type Read = Exit.Exit<readonly [Uint8Array], Socket.SocketError>

/** What was read and not yet pulled, and who waits for it. */
class Reads {
  readonly socket: Net.Socket
  private bytes = Buffer.allocUnsafe(firstRead)
  private unread: Uint8Array | undefined
  private isPaused = false
  private why: (() => Socket.SocketError) | undefined
  private waiter: ((read: Read) => void) | undefined

  constructor({ host, port }: Host) {
    this.socket = Net.connect({
      host,
      port,
      noDelay: true,
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
    this.socket.on("error", (cause) => this.end(() => failure(new Socket.SocketReadError({ cause }))))
    this.socket.on("close", (hadError) => this.end(() => closed(hadError ? 1006 : 1000)))
  }

  get opened(): Effect.Effect<void, Socket.SocketError> {
    return Effect.callback((resume) => {
      const { socket } = this
      const onConnect = () => {
        socket.off("error", onError)
        resume(Exit.void)
      }
      const onError = (cause: Error) => {
        socket.off("connect", onConnect)
        resume(Exit.fail(failure(new Socket.SocketOpenError({ kind: "Unknown", cause }))))
      }
      socket.once("connect", onConnect).once("error", onError)
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
    if (this.socket.connecting) this.socket.destroy()
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

/** A socket to one server; the name is resolved anew each time the socket's reader is acquired. */
export const dial = (server: Host): Effect.Effect<Socket.Socket> =>
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
      reader: Effect.flatMap(
        Effect.acquireRelease(
          Effect.sync(() => new Reads(server)),
          (reads) => Effect.sync(() => reads.close())
        ),
        (reads) =>
          Effect.map(reads.opened, () => {
            socket = reads.socket
            return { pull: reads.pull, upgrade: Socket.SocketUpgradeError.unsupported }
          })
      ),
      writer: Effect.acquireRelease(Effect.succeed(writer), () => Effect.sync(() => void socket?.end()))
    })
  })
