/**
 * Speed of the in-memory server's core, frames in and frames out, and what a
 * small znode takes; then what a test layer costs: `node --expose-gc test/bench/memory.ts`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Jute from "../../src/jute/Jute.ts"
import * as Protocol from "../../src/jute/Protocol.ts"
import { type Peer, Server } from "../../src/memory/Server.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { ZooKeeperTest } from "../../src/ZooKeeperTest.ts"

const { operations: op } = Protocol
const count = 100_000
const open = [{ perms: 31, id: { scheme: "world", id: "anyone" } }]

const timed = <A>(what: string, f: () => A): A => {
  const startedAt = performance.now()
  const result = f()
  console.log(`${(performance.now() - startedAt).toFixed(1).padStart(8)} ms  ${what}`)
  return result
}

const frame = (write: (writer: Jute.Writer) => void): ReadonlyArray<Uint8Array> => {
  const writer = new Jute.Writer()
  writer.begin()
  write(writer)
  writer.end()
  return writer.drain()
}

/** One request for each znode, in the pieces in which a client sends them. */
const requests = <A>(
  operation: Protocol.Operation<A, unknown>,
  request: (path: string) => A
): ReadonlyArray<Uint8Array> => {
  const layout = Jute.layoutOf(operation.request)
  const writer = new Jute.Writer()
  const chunks: Array<Uint8Array> = []
  for (let index = 1; index <= count; index++) {
    writer.begin()
    writer.int(index)
    writer.int(operation.opCode)
    layout.write(writer, request(`/znode-${index}`))
    writer.end()
    if (index % 200 === 0) chunks.push(...writer.drain())
  }
  return chunks
}

const connect = (): Peer => {
  const server = new Server({}, Clock.Clock.defaultValue())
  const peer = server.accept({ remoteAddress: "127.0.0.1", listener: "here:1", send: () => {}, close: () => {} })
  const hello = frame((writer) =>
    Jute.layoutOf(Protocol.ConnectRequest).write(writer, {
      protocolVersion: 0,
      lastZxidSeen: 0n,
      timeOut: 10_000,
      sessionId: 0n,
      passwd: new Uint8Array(16),
      readOnly: false
    })
  )
  for (const chunk of hello) peer.receive(chunk)
  return peer
}

const used = (): number => {
  globalThis.gc?.()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const data = new Uint8Array(10)
const creates = requests(op.create, (path) => ({ path, data, acl: open, flags: 0 }))
const reads = requests(op.getData, (path) => ({ path, watch: false }))
const sets = requests(op.setData, (path) => ({ path, data, version: -1 }))
const deletes = requests(op.delete, (path) => ({ path, version: -1 }))

for (let round = 0; round < 3; round++) {
  const peer = timed("a server, and a session on it", connect)
  const send = (chunks: ReadonlyArray<Uint8Array>) => chunks.forEach((chunk) => peer.receive(chunk))
  const before = used()
  timed(`${count} creates`, () => send(creates))
  console.log(`${String(Math.round((used() - before) / count)).padStart(8)} bytes for each`)
  timed(`${count} reads`, () => send(reads))
  timed(`${count} sets`, () => send(sets))
  timed(`${count} deletes`, () => send(deletes))
}

const median = (values: ReadonlyArray<number>): string =>
  (values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0).toFixed(1).padStart(8)

const layers: Array<number> = []
for (let round = 0; round < 200; round++) {
  const startedAt = performance.now()
  await Effect.runPromise(ZooKeeper.use((zk) => zk.create("/a")).pipe(Effect.provide(ZooKeeperTest.layer())))
  layers.push(performance.now() - startedAt)
}
console.log(`${median(layers)} ms  a test layer is built, used and closed (median of ${layers.length})`)

const paths = Array.from({ length: count }, (_, index) => `/${index}`)
const throughClient = ZooKeeper.use((zk) =>
  Effect.gen(function*() {
    const startedAt = performance.now()
    yield* Effect.forEach(paths, (path) => zk.create(path, data), { concurrency: 1000, discard: true })
    return performance.now() - startedAt
  })).pipe(Effect.provide(ZooKeeperTest.layer()))
const rounds: Array<number> = []
for (let round = 0; round < 6; round++) rounds.push(await Effect.runPromise(throughClient))
console.log(`${median(rounds)} ms  ${count} creates through the client; at most ${Math.max(...rounds).toFixed(1)} ms`)
