/**
 * A server that answers at wire speed and keeps no tree, so that a measurement
 * shows the client: reads give as many bytes, or children, as the digits at the
 * end of the path say; everything succeeds. Data watches are kept per
 * connection, and any transaction fires all of them.
 *
 * `node responder.ts [port]` prints its port once it listens.
 */
import { createServer, type Socket } from "node:net"

const header = 16
const statSize = 68

const stat = Buffer.alloc(statSize)
stat.writeBigInt64BE(2n, 0)
stat.writeBigInt64BE(2n, 8)
stat.writeBigInt64BE(1_700_000_000_000n, 16)
stat.writeBigInt64BE(1_700_000_000_000n, 24)
stat.writeBigInt64BE(2n, 60)

/** A reply whose xid and zxid are filled in later. */
const reply = (...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const frame = Buffer.concat([Buffer.alloc(4 + header), ...parts])
  frame.writeInt32BE(frame.length - 4, 0)
  return frame
}

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const text = (value: string): Buffer => Buffer.concat([int(Buffer.byteLength(value)), Buffer.from(value)])

const remembered = <Key>(make: (key: Key) => Buffer): (key: Key) => Buffer => {
  const known = new Map<Key, Buffer>()
  return (key) => {
    const found = known.get(key) ?? make(key)
    known.set(key, found)
    return found
  }
}

const ofSize = (size: number): Buffer => {
  const sized = Buffer.from(stat)
  sized.writeInt32BE(size, 52)
  return sized
}

const data = remembered((size: number) => reply(int(size), Buffer.alloc(size, 120), ofSize(size)))
const children = remembered((count: number) =>
  reply(int(count), ...Array.from({ length: count }, (_, i) => text(`n${String(i).padStart(10, "0")}`)))
)
const found = reply(stat)
const done = reply()
const results = reply(int(-1), Buffer.from([1]), int(-1))

let zxid = 1
let sessions = 1n
let sequence = 0
const watchers = new Set<Connection>()

class Connection {
  private rest: Buffer = Buffer.alloc(0)
  private isConnected = false
  private out = Buffer.allocUnsafeSlow(1 << 20)
  private used = 0
  private readonly watched: Array<Buffer> = []
  private readonly socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on("data", (chunk) => this.receive(chunk))
    socket.on("error", () => socket.destroy())
    socket.on("close", () => watchers.delete(this))
  }

  private receive(chunk: Buffer): void {
    const input = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    let at = 0
    while (input.length - at >= 4) {
      const end = at + 4 + input.readInt32BE(at)
      if (end > input.length) break
      if (this.isConnected) this.request(input, at + 4, end)
      else this.handshake(input, at + 4)
      at = end
    }
    this.rest = input.subarray(at)
    this.flush()
  }

  private flush(): void {
    if (this.used === 0) return
    this.socket.write(this.out.subarray(0, this.used))
    // The socket may still hold what it was given.
    this.out = Buffer.allocUnsafeSlow(1 << 20)
    this.used = 0
  }

  private put(frame: Buffer): number {
    if (this.used + frame.length > this.out.length) this.flush()
    const at = this.used
    this.out.set(frame, at)
    this.used += frame.length
    return at
  }

  private answer(xid: number, frame: Buffer): void {
    const at = this.put(frame)
    this.out.writeInt32BE(xid, at + 4)
    this.out.writeInt32BE(zxid, at + 12)
  }

  private handshake(input: Buffer, at: number): void {
    this.isConnected = true
    const id = Buffer.alloc(8)
    id.writeBigInt64BE(sessions++)
    const timeout = input.subarray(at + 12, at + 16)
    this.put(Buffer.concat([int(37), int(0), timeout, id, int(16), Buffer.alloc(16, 7), Buffer.from([0])]))
  }

  private request(input: Buffer, at: number, end: number): void {
    const xid = input.readInt32BE(at)
    const operation = input.readInt32BE(at + 4)
    switch (operation) {
      case 4: {
        const path = this.pathAt(input, at)
        if (input[end - 1] === 0) return this.answer(xid, data(digitsOf(path)))
        watchers.add(this)
        this.watched.push(Buffer.from(path))
        return this.answer(xid, data(0))
      }
      case 3:
        return this.answer(xid, found)
      case 5:
        zxid++
        return this.answer(xid, found)
      case 8:
        return this.answer(xid, children(digitsOf(this.pathAt(input, at))))
      case 1: {
        zxid++
        const isSequential = (input.readInt32BE(end - 4) & 2) !== 0
        const suffix = isSequential ? String(sequence++).padStart(10, "0") : ""
        return this.answer(xid, reply(text(this.pathAt(input, at).toString() + suffix)))
      }
      case 14:
        zxid++
        for (const watcher of watchers) watcher.fire()
        return this.answer(xid, results)
      case -11:
        this.answer(xid, done)
        this.flush()
        this.socket.end()
        return
      default:
        return this.answer(xid, done)
    }
  }

  private pathAt(input: Buffer, at: number): Buffer {
    return input.subarray(at + 12, at + 12 + input.readInt32BE(at + 8))
  }

  private fire(): void {
    for (const path of this.watched.splice(0)) {
      const event = reply(int(3), int(3), int(path.length), path)
      event.fill(255, 4, 16)
      this.put(event)
    }
    watchers.delete(this)
    this.flush()
  }
}

const digitsOf = (path: Buffer): number => {
  let value = 0
  let scale = 1
  for (let i = path.length - 1; i >= 0; i--) {
    const digit = (path[i] ?? 0) - 48
    if (digit < 0 || digit > 9) break
    value += digit * scale
    scale *= 10
  }
  return value
}

const server = createServer((socket) => void new Connection(socket))
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  const address = server.address()
  console.log(typeof address === "object" && address !== null ? address.port : address)
})
